"""Commands about who uses the platform: people, projects and their members."""

from collections.abc import Iterable
from typing import Annotated

import typer

from hutong.clients.cli.account_commands import IdArgument, build, group, read_hidden
from hutong.clients.cli.session import Json, ProjectOption, connect, project_of
from hutong.clients.cli.terminal import rows_of, say, show_json, table
from hutong.wire import accounts as a

Who = Annotated[str, typer.Argument(metavar="PERSON", show_default=False)]


def whoami(as_json: Json = False) -> None:
    """Say who you are signed in as, and your projects.

    Example: hutong whoami
    """
    with connect() as client:
        me = client.me()
    if as_json:
        show_json(me)
        return
    viewed = f", seen by {me.viewed_by}" if me.viewed_by else ""
    say(f"{me.id}: {me.name}{', an operator' if me.operator else ''}{viewed}")
    roles = {each.id: next((m.role for m in each.members if m.person == me.id), "") for each in me.projects}
    for each in me.projects:
        say(f"  project {each.id}: {each.title}{f', {roles[each.id]}' if roles[each.id] else ''}")


def create_person(
    name: IdArgument,
    institution: Annotated[str, typer.Option("--institution", "-i")],
    full_name: Annotated[str, typer.Option("--name", help="The person's name.")] = "",
    operator: Annotated[bool, typer.Option("--operator", help="Runs the platform.")] = False,
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password.")] = False,
    as_json: Json = False,
) -> None:
    """Enter somebody who may sign in (operators). Without a password one is made and shown once.

    Example: hutong person create li-na --institution cau --name 李娜
    """
    password = read_hidden("password") if password_stdin else None
    wanted = build(
        a.NewPerson,
        id=name,
        name=full_name or name,
        institution=institution,
        password=password,
        operator=operator,
    )
    with connect() as client:
        made = client.people.create(wanted)
    if as_json:
        show_json(made)
        return
    say(f"person {made.id}: {made.name}, {made.institution}")
    if made.password:
        say(f"password (shown once): {made.password}")


def list_people(as_json: Json = False) -> None:
    """List the people that you may see: all, or those of institutions that you administer.

    Example: hutong person list
    """
    with connect() as client:
        found = client.people.list()
        if as_json:
            show_json(list(found))
            return
        rows = ((each.id, each.name, each.institution, "operator" if each.operator else "") for each in found)
        rows_of(table("id", "name", "institution", ""), rows, "nobody")


def create_project(
    name: IdArgument,
    institution: Annotated[str, typer.Option("--institution", "-i")],
    owner: Annotated[str, typer.Option("--owner", help="The person who is its first member.")],
    title: Annotated[str, typer.Option("--title", help="What it is about.")] = "",
    as_json: Json = False,
) -> None:
    """Open a project (operators).

    Example: hutong project create weather --institution cau --owner li-na --title "Nowcasting"
    """
    wanted = build(a.NewProject, id=name, institution=institution, title=title or name, owner=owner)
    with connect() as client:
        made = client.projects.create(wanted)
    show_json(made) if as_json else say(f"project {made.id}: {made.title}; owner {owner}")


def list_projects(as_json: Json = False) -> None:
    """List the projects that you may see.

    Example: hutong project list
    """
    with connect() as client:
        found = client.projects.list()
        if as_json:
            show_json(list(found))
            return
        rows = (
            (each.id, each.title, each.institution, _owners(each.members), "" if each.active else "inactive")
            for each in found
        )
        rows_of(table("id", "title", "institution", "owners", ""), rows, "no projects")


def _owners(members: Iterable[a.Member]) -> str:
    return " ".join(each.person for each in members if each.role == "owner")


def list_members(project: ProjectOption = "", as_json: Json = False) -> None:
    """List the members of a project, with their roles.

    Example: hutong project members --project weather
    """
    with connect() as client:
        found = client.projects.get(project_of(client, project))
    if as_json:
        show_json(found)
        return
    rows_of(table("person", "role"), ((each.person, each.role) for each in found.members), "nobody")


def add_member(
    person: Who,
    project: ProjectOption = "",
    owner: Annotated[bool, typer.Option("--owner", help="As an owner, not as a member.")] = False,
    as_json: Json = False,
) -> None:
    """Let a person work in a project, or change their role.

    Example: hutong project add wu-min --project weather
    """
    with connect() as client:
        name = project_of(client, project)
        found = client.projects.set_member(name, person, "owner" if owner else "member")
    show_json(found) if as_json else say(f"{person} is {'an owner' if owner else 'a member'} of {name}")


def remove_member(person: Who, project: ProjectOption = "", as_json: Json = False) -> None:
    """Take a person out of a project; its last owner stays.

    Example: hutong project remove wu-min --project weather
    """
    with connect() as client:
        name = project_of(client, project)
        client.projects.remove_member(name, person)
    show_json({"project": name, "person": person}) if as_json else say(f"{person} is no longer in {name}")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("whoami", rich_help_panel="You")(whoami)
    group(
        app, "person", "People who may sign in.", "Operators", create=create_person, list=list_people
    )  # fmt: skip
    group(
        app, "project", "Projects and who works in them.", "You", create=create_project, list=list_projects,
        members=list_members, add=add_member, remove=remove_member,
    )  # fmt: skip
