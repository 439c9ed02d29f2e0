//! The conventions agents of different years were written in.

use par_tests::{Package, TestHost};
use serde_json::json;

/// The ways to hand over routes: an app or a router, returned or filled, with middleware and state.
#[tokio::test]
async fn rest_entries_of_every_convention_are_served() {
    for (convention, routes) in [
        (
            "an app is filled",
            "
def mount(app):
    app.add_api_route('/api/x', lambda: 'here')
",
        ),
        (
            "a router is filled",
            "
def mount(router):
    @router.get('/api/x', tags=['x'])
    def x():
        return 'here'
",
        ),
        (
            "a router of its own is included",
            "
from fastapi import APIRouter

router = APIRouter(prefix='/api')

@router.get('/x')
async def x():
    return 'here'

def mount(app):
    app.include_router(router)
",
        ),
        (
            "a factory returns an app",
            "
from fastapi import FastAPI

def mount():
    app = FastAPI()
    app.get('/api/x')(lambda: 'here')
    return app
",
        ),
        (
            "a router is returned",
            "
from fastapi import APIRouter

def mount(app):
    router = APIRouter()
    router.get('/api/x')(lambda: 'here')
    return router
",
        ),
        (
            "hooks, state and middleware",
            "
from fastapi import Request

def mount(app):
    @app.middleware('http')
    async def stamp(request, call_next):
        response = await call_next(request)
        response.headers['x-stamp'] = 'yes'
        return response

    @app.get('/api/x')
    async def x(request: Request):
        return request.app.state.place

async def startup(app):
    app.state.place = 'here'
",
        ),
    ] {
        let host = TestHost::agent(&Package::mount(routes)).env("BASE_PATH", "/agents/app-1").start().await;

        let reply = host.get("/agents/app-1/api/x").await;

        assert_eq!((reply.status, reply.json()), (200, json!("here")), "{convention}");
    }
}

/// `http_server` names an app, a factory of one, or an object that carries one.
#[tokio::test]
async fn http_servers_of_every_convention_are_served() {
    for (convention, main) in [
        ("an app", "app = made()"),
        ("a factory", "app = made"),
        (
            "a server that carries an app",
            "class Server:\n    app = made()\n    def run(self): raise SystemExit\n\napp = Server()",
        ),
        ("a builder", "class Builder:\n    def build(self): return made()\n\napp = Builder()"),
    ] {
        let main = format!(
            "from fastapi import FastAPI\n\ndef made():\n    app = FastAPI()\n    app.get('/api/x')(lambda: 'here')\n    return app\n\n{main}\n"
        );
        let host = TestHost::agent(&Package::asgi(&main)).start().await;

        assert_eq!(host.get("/api/x").await.json(), json!("here"), "{convention}");
    }
}

/// `a2a.service` returns an object with handlers, a dictionary, or a servicer of its own.
#[tokio::test]
async fn services_of_every_convention_are_served() {
    for (convention, service) in [
        (
            "an object with handlers",
            "
class Service:
    custom_handlers = {'x': lambda parameters: 'here'}

create_service = Service
",
        ),
        ("a dictionary of handlers", "def create_service():\n    return {'x': lambda parameters: 'here'}\n"),
        (
            "a servicer",
            "
import grpc
from pixell_runtime.proto import agent_pb2, agent_pb2_grpc

class Servicer(agent_pb2_grpc.AgentServiceServicer):
    async def Invoke(self, request, context):
        return agent_pb2.ActionResult(success=True, result='here' if request.action == 'x' else '?')

def create_service():
    return Servicer()
",
        ),
        (
            "a server of grpc's",
            "
from concurrent import futures
import grpc

def create_service():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    server.custom_handlers = {'x': lambda parameters: 'here'}
    return server
",
        ),
    ] {
        let host = TestHost::agent(&Package::actions(service)).start().await;

        let result = host.a2a().await.act("x", &[]).await;

        assert_eq!((result.success, result.result.as_str()), (true, "here"), "{convention}: {result:?}");
    }
}

/// Both names of the default function are known.
#[tokio::test]
async fn functions_the_manifest_does_not_name_have_their_defaults() {
    let manifest = "rest:\n  entry: routes\na2a:\n  service: service\n";
    let package = Package::new("probe", manifest)
        .file("routes.py", "def mount(app):\n    app.get('/api/x')(lambda: 'here')\n")
        .file("service.py", "def create_grpc_server():\n    return {'x': lambda parameters: 'here'}\n");
    let host = TestHost::agent(&package).start().await;

    assert_eq!(host.get("/api/x").await.json(), json!("here"));
    assert_eq!(host.a2a().await.act("x", &[]).await.result, "here");
}

/// `${NAME}` in the environment of a manifest is replaced, and `deploy.json` wins over the manifest,
/// which wins over `.env`.
#[tokio::test]
async fn the_environment_of_a_package_has_its_order() {
    let package = Package::asgi(include_str!("python/probe.py"))
        .and("environment:\n  ONE: manifest\n  TWO: manifest\n  FOUR: '${UNSET_NAME:-fallback}'\n")
        .file(".env", "ONE=file\nTWO=file\nTHREE=file\n")
        .file("deploy.json", r#"{"environment": {"ONE": "deploy"}}"#);
    let host = TestHost::archive(&package).start().await;

    let seen = host.get("/environment").await.json();

    for (name, value) in [("ONE", "deploy"), ("TWO", "manifest"), ("THREE", "file"), ("FOUR", "fallback")] {
        assert_eq!(seen[name], value, "{name}");
    }
}

/// An agent of one surface has that one; the others are not waited for.
#[tokio::test]
async fn an_agent_of_one_surface_is_ready_with_that_one() {
    let actions = "def create_service():\n    return {'x': lambda parameters: 'here'}\n";
    for (package, surfaces) in [
        (Package::example("stdlib"), json!({"rest": true, "a2a": false, "ui": false})),
        (Package::actions(actions), json!({"rest": false, "a2a": true, "ui": false})),
        (
            Package::new("probe", "ui:\n  path: ui\n").file("ui/index.html", "page"),
            json!({"rest": false, "a2a": false, "ui": true}),
        ),
    ] {
        let host = TestHost::agent(&package).start().await;

        let health = host.health().await;

        assert_eq!((health.status, health.json()["surfaces"].clone()), (200, surfaces.clone()));
        let a2a = std::net::TcpStream::connect(("127.0.0.1", host.setup().port("A2A_PORT")));
        assert_eq!(a2a.is_ok(), surfaces["a2a"] == true);
    }
}
