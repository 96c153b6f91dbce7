"""What a node says of the shared folder, its Python and its sandbox; `hutong agent doctor` runs it as a job.

It must start on any Python, however old, to say that it is too old: nothing newer above the check.

    python -I -S probe.py FOLDER NAME

FOLDER holds `nonce` and `held`, a file that the asker keeps locked; `seen-NAME.json` is the answer.
"""

import json
import os
import sys

if __name__ == "__main__":
    sys.path.append(os.path.abspath(os.path.join(__file__, *[".."] * 5)))  # noqa: PTH100, PTH118


def look(folder: str) -> "dict[str, object]":
    """Return what this node sees and may do in the folder; each fault is a sentence, or nothing."""
    import fcntl
    from pathlib import Path

    from hutong.adapters.engines.attempt import box, files

    place = Path(folder)
    faults = {"nonce": "", "link": "", "lock": ""}
    try:
        nonce = (place / "nonce").read_text(encoding="utf-8")
    except OSError as error:
        nonce, faults["nonce"] = "", str(error)
    mine = place / f"link-{os.uname().nodename}-{os.getpid()}"
    try:
        if not files.create_json(mine, {}) or files.create_json(mine, {}):
            faults["link"] = "a hard link took the place of a file that was there"
    except OSError as error:
        faults["link"] = str(error)
    with (place / "held").open("r+") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            faults["lock"] = "a lock held on the agent's machine is not seen here"
        except BlockingIOError:
            pass
        except OSError as error:
            faults["lock"] = str(error)
    return {"nonce": nonce, "faults": faults, "box": box.why_not()}


def main() -> int:
    """Write the answer in one piece."""
    folder, name = sys.argv[1:3]
    told = {"python": "{}.{}.{}".format(*sys.version_info[:3]), "node": os.uname().nodename}
    answer = dict(told)  # type: dict[str, object]
    if sys.version_info >= (3, 11):  # noqa: UP036 - whatever the node has
        answer.update(look(folder))
    path = os.path.join(folder, "seen-" + name + ".json")  # noqa: PTH118
    with open(path + ".new", "w") as file:  # noqa: PTH123
        json.dump(answer, file)
    os.rename(path + ".new", path)  # noqa: PTH104
    return 0


if __name__ == "__main__":
    sys.exit(main())
