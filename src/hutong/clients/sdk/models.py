"""Calls about models and their deployments."""

from hutong.clients.sdk.call import Call, Listing, file_path_of, nothing, path_of, post, query_of, raw, shape
from hutong.clients.sdk.verbs import AsyncGroup, Group, ListVerb, Verb
from hutong.wire import models as m
from hutong.wire.base import Page


def register(model: m.NewModel) -> Call[m.Model]:
    """Make a model's next version out of the files that a job left."""
    return post(path_of("models"), shape(m.Model), model)


def list_models(*, project: str | None = None, limit: int | None = None) -> Listing[m.Model]:
    """List models."""
    return Listing(path_of("models"), shape(Page[m.Model]), query_of(project=project), limit)


def versions(name: str, *, project: str | None = None, limit: int | None = None) -> Listing[m.Model]:
    """List the versions of a model; `project` says whose, where several have one of that name."""
    return Listing(path_of("models", name), shape(Page[m.Model]), query_of(project=project), limit)


def get_model(name: str, version: int, *, project: str | None = None) -> Call[m.Model]:
    """Return one version of a model."""
    return Call("GET", path_of("models", name, version), shape(m.Model), query_of(project=project))


def file_of(name: str, version: int, path: str, *, project: str | None = None) -> Call[bytes]:
    """Return one file of a version."""
    query = query_of(project=project)
    return Call("GET", file_path_of("models", name, version, "files", file=path), raw, query)


def deploy(deployment: m.NewDeployment) -> Call[m.Deployment]:
    """Serve a model."""
    return post(path_of("deployments"), shape(m.Deployment), deployment)


def list_deployments(*, project: str | None = None, limit: int | None = None) -> Listing[m.Deployment]:
    """List deployments."""
    return Listing(path_of("deployments"), shape(Page[m.Deployment]), query_of(project=project), limit)


def get_deployment(project: str, name: str) -> Call[m.Deployment]:
    """Return one deployment."""
    return Call("GET", path_of("deployments", project, name), shape(m.Deployment))


def undeploy(project: str, name: str) -> Call[None]:
    """Stop serving."""
    return Call("DELETE", path_of("deployments", project, name), nothing)


class ModelVerbs:
    """Models: versions of content-addressed files, with where they come from."""

    register = Verb(register)
    list = ListVerb(list_models)
    versions = ListVerb(versions)
    get = Verb(get_model)
    file = Verb(file_of)


class DeploymentVerbs:
    """Models being served."""

    create = Verb(deploy)
    list = ListVerb(list_deployments)
    get = Verb(get_deployment)
    remove = Verb(undeploy)


class Deployments(DeploymentVerbs, Group):
    """Models being served."""


class AsyncDeployments(DeploymentVerbs, AsyncGroup):
    """Models being served."""
