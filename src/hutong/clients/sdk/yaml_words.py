"""Says in plain words, and with the line, what a YAML parser did not understand."""

import yaml

_COLON = 'often a text with ": " or " #" in it needs quotes, or the line above is not finished'
_SAID = (  # part of either parser's message, what it means, what to do; the first that fits is used
    ("found character", "a tab stands where only spaces may", "indent with spaces"),
    ("mapping values are not allowed", "a colon stands where no key can be", _COLON),
    ("could not find expected ':'", "a key has no colon behind it", "key: value"),
    (
        "unexpected end of stream",
        "a quote is opened and never closed",
        "close it, on the same line if you can",
    ),
    ("document separator", "a quote is opened and never closed", "close it, on the same line if you can"),
    ("',' or '}'", "a { is never closed, or a comma is missing", "{key: value, other: value}"),
    ("',' or ']'", "a [ is never closed, or a comma is missing", "[one, two]"),
    (
        "block sequence entries are not allowed",
        "a list begins where none can be",
        "put each - on its own line",
    ),
    ("expected '-' indicator", "this line does not fit the list above it", "indent it like its neighbors"),
    ("<block end>", "this line does not fit the lines above it", "check its indentation, quotes and colons"),
    ("expected key", "this line does not fit the lines above it", "check its indentation, quotes and colons"),
    ("escape", "a backslash in double quotes begins an unknown escape", "use single quotes, or write \\\\"),
    ("tag", "a ! begins a tag that is not known", "put the text in quotes"),
    ("anchor", "an & or a * needs a name behind it", "put the text in quotes"),
    ("alias", "an & or a * needs a name behind it", "put the text in quotes"),
    (
        "block scalar",
        "the first line of a text after | or > is wrong",
        "only the sign behind the key, then lines",
    ),
    (
        "indentation indicator",
        "the first line of a text after | or > is wrong",
        "the sign, then indented lines",
    ),
    ("document start", "something follows the end of the document", "one job a file"),
    ("incompatible", "the %YAML line names a version that cannot be read", "leave the line out"),
    ("node content", "a bracket, brace or comma stands where a value belongs", "put the text in quotes"),
    ("version", "the %YAML line is not understood", "leave it out"),
    ("directive", "a % cannot begin a line here", "put the text in quotes"),
)


def explain(error: yaml.YAMLError, text: str) -> tuple[int, int, str, str]:
    """Return line, column (both from 1), message and hint for a parser's error."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return 1, 1, "the YAML cannot be read", "check that the file is plain UTF-8 text"
    said = f"{error.problem or ''} {error.context or ''}"
    mark = error.problem_mark or error.context_mark
    message, hint = next(
        (words[1:] for words in _SAID if words[0] in said), (f"the YAML is wrong here ({error.problem})", "")
    )
    if "is never closed" in message or "never closed" in message:
        mark = error.context_mark or mark
    if mark is None:
        return 1, 1, message, hint
    lines = text.split("\n")
    line = min(mark.line, len(lines) - 1)
    if "found character" in said:
        rest = lines[line][mark.column :]
        if "\t" not in lines[line][: mark.column + 1]:
            message, hint = f"no value may begin with {rest[:1]!r}", "put the text in quotes"
    return line + 1, mark.column + 1, message, hint
