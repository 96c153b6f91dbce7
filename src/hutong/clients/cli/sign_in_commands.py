"""Commands that sign in and out, with a password, a token or a browser, and about second factors."""

import platform
import socket
import time
from dataclasses import replace
from typing import Annotated

import typer

from hutong.clients.cli.account_commands import IdArgument, group, read_hidden
from hutong.clients.cli.session import Json, connect
from hutong.clients.cli.terminal import say, show_json, warn
from hutong.clients.sdk.client import Client
from hutong.clients.sdk.profile import Profile, load_profile, save_profile
from hutong.core.kernel.errors import Denied, HutongError, Problem, Refused

_PAUSE_MORE_S = 5


def login(
    url: Annotated[str, typer.Argument(metavar="[URL]", help="Where the platform is.")] = "",
    person: Annotated[str, typer.Option("--person", "-u", help="Who you are; asked for otherwise.")] = "",
    with_token: Annotated[bool, typer.Option("--token", help="Give a token instead of a password.")] = False,
    device: Annotated[bool, typer.Option("--device", help="Sign in with a browser, on any machine.")] = False,
    code: Annotated[str, typer.Option("--code", help="Of your authenticator; else asked for.")] = "",
    as_json: Json = False,
) -> None:
    """Sign in; the password or token is asked for, or read from standard input.

    Example: hutong login http://127.0.0.1:8470 --person admin

    Example: hutong login --device
    """
    place = (url or load_profile().url).rstrip("/")
    if sum((with_token, device, bool(person))) > 1:
        problem = Problem("", "--person, --token and --device are three ways", "one of them")
        raise Refused("bad_input", "which way to sign in?", (problem,))
    with Client(place, "") as client:
        if with_token:
            token = read_hidden("token").strip()
        elif device:
            token = _by_browser(client)
        else:
            token = _by_password(client, person or str(typer.prompt("person", err=True)), code)
    with Client(place, token) as client:
        me = client.me()
    projects = [each.id for each in me.projects if each.active]
    path = save_profile(Profile(place, token, projects[0] if len(projects) == 1 else ""))
    if as_json:
        show_json(me)
    else:
        say(f"signed in to {place} as {me.id} ({me.name}); projects: {', '.join(projects) or 'none'}")
        warn(f"the token is kept in {path}")


def _by_password(client: Client, person: str, code: str) -> str:
    password = read_hidden("password")
    try:
        return client.login(person, password, code or None).secret or ""
    except Denied as error:
        if error.code != "second_factor_needed" or code:
            raise
    return client.login(person, password, str(typer.prompt("code", err=True)).strip()).secret or ""


def _by_browser(client: Client) -> str:
    """Show a code and an address; ask until somebody who is signed in there consents (RFC 8628)."""
    begun = client.devices.begin(f"hutong on {socket.gethostname()} ({platform.system()})"[:200])
    warn(f"open    {begun.verification_uri_complete}")
    warn(f"compare {begun.user_code}  and consent there; this waits {begun.expires_in // 60} min")
    interval_s, deadline_s = begun.interval, time.monotonic() + begun.expires_in
    while time.monotonic() < deadline_s:
        time.sleep(interval_s)
        try:
            return client.devices.poll(begun.device_code).secret or ""
        except Refused as error:
            if error.code == "slow_down":
                interval_s += _PAUSE_MORE_S
            elif error.code != "authorization_pending":
                raise
    raise Refused("expired_token", "nobody consented in time: begin again")


def logout(as_json: Json = False) -> None:
    """End the session and forget its token.

    Example: hutong logout
    """
    profile = load_profile()
    try:
        with connect() as client:
            client.logout()
        ended = True
    except HutongError as error:
        ended = False
        warn(f"the session could not be ended at the platform: {error}")
    save_profile(replace(profile, token=""))
    show_json({"ended": ended}) if as_json else say("signed out")


def set_up_factor(as_json: Json = False) -> None:
    """Set up an authenticator: enter its secret there, a code of it here. Sign-in then asks for one.

    Example: hutong second-factor set-up
    """
    with connect() as client:
        begun = client.second_factor.begin()
        warn(f"secret  {begun.secret}")
        warn(f"address {begun.address}")
        made = client.second_factor.confirm(str(typer.prompt("code", err=True)).strip())
    if as_json:
        show_json(made)
        return
    say("Sign-in asks for a code from now on. Recovery codes, each good once, shown this once:")
    for each in made.codes:
        say(f"  {each}")


def show_factor(as_json: Json = False) -> None:
    """Say whether you have an authenticator, and must have one.

    Example: hutong second-factor show
    """
    with connect() as client:
        found = client.second_factor.get()
    if as_json:
        show_json(found)
        return
    state = f"set up, {found.recovery_codes_left} recovery codes left" if found.enrolled else "not set up"
    say(f"second factor: {state}{'; required for you' if found.required else ''}")


def remove_factor(as_json: Json = False) -> None:
    """Take your authenticator away, by a code of it or a recovery code.

    Example: hutong second-factor remove
    """
    with connect() as client:
        client.second_factor.remove(str(typer.prompt("code", err=True)).strip())
    show_json({"enrolled": False}) if as_json else say("sign-in asks for your password alone")


def reset_factor(name: IdArgument, as_json: Json = False) -> None:
    """Take somebody's authenticator away, who lost it and the recovery codes (operators).

    Example: hutong second-factor reset li-na
    """
    with connect() as client:
        client.second_factor.reset(name)
    show_json({"person": name}) if as_json else say(f"{name} signs in by password alone, and may set up anew")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel="You")(login)
    app.command(rich_help_panel="You")(logout)
    group(
        app, "second-factor", "Your authenticator.", "You",
        **{"set-up": set_up_factor, "show": show_factor, "remove": remove_factor, "reset": reset_factor},
    )  # fmt: skip
