"""Random operations of several agents on one engine, each at its own gateway and all with the same few names, against a
model of what each should see. Servers are killed meanwhile, at rest and in the middle of requests. EBBTIDE_MODEL_SECONDS,
EBBTIDE_MODEL_AGENTS and EBBTIDE_MODEL_SEED set how much and which."""
import collections
import contextlib
import http.client
import json
import os
import random
import re
import socket
import threading
import time
import urllib.parse

import harness
from harness import BUSYBOX, ENGINE, ServerTest, docker, gocd, until

SECONDS = float(os.environ.get("EBBTIDE_MODEL_SECONDS", "60"))
AGENTS = int(os.environ.get("EBBTIDE_MODEL_AGENTS", "8"))
SEED = os.environ.get("EBBTIDE_MODEL_SEED") or str(random.SystemRandom().randrange(10**6))
VERSION = "/v1.41"

NAMES = ["aa", "db", "cafe", "web", "b1"]  # three of them could be the beginning of an id
REST = 3  # seconds without a change, at least
MANY = 6  # containers of one agent
AGENT = object()  # what a reference resolves to: the agent's own container
AMBIGUOUS = object()


class Away(Exception):
    """The server went while it was asked."""


class Wrong(AssertionError):
    """What an agent saw is not what it should."""


class Api:
    """HTTP on one unix socket, on one connection while that lasts."""

    def __init__(self, path):
        self.path = str(path)
        self.connection = None

    def call(self, method, path, body=None, **query):
        """Status and body: JSON where it is."""
        if query:
            path += "?" + urllib.parse.urlencode(query)
        for fresh in (False, True):
            fresh = fresh or self.connection is None
            try:
                return self.once(method, VERSION + path, body, fresh)
            except (http.client.HTTPException, OSError) as error:
                self.connection = None
                # One that was idle may have been closed; a connection of now was not.
                if fresh or not isinstance(error, (http.client.RemoteDisconnected, BrokenPipeError)):
                    raise Away(f"{method} {path}: {error!r}") from error

    def once(self, method, path, body, fresh):
        if fresh:
            self.connection = http.client.HTTPConnection("docker", timeout=60)
            self.connection.sock = socket.socket(socket.AF_UNIX)
            self.connection.sock.settimeout(60)
            self.connection.sock.connect(self.path)
        text = None if body is None else json.dumps(body)
        self.connection.request(method, path, text, {"Content-Type": "application/json"} if text else {})
        answer = self.connection.getresponse()
        data = answer.read()
        if answer.will_close:
            self.connection = None
        if "json" in (answer.headers["Content-Type"] or ""):
            return answer.status, json.loads(data or "null")
        return answer.status, data


class Gate:
    """Operations go through it side by side; who closes it has the engine to itself."""

    def __init__(self):
        self.changed = threading.Condition()
        self.inside = 0
        self.shut = False

    @contextlib.contextmanager
    def through(self):
        with self.changed:
            self.changed.wait_for(lambda: not self.shut)
            self.inside += 1
        try:
            yield
        finally:
            with self.changed:
                self.inside -= 1
                self.changed.notify_all()

    @contextlib.contextmanager
    def closed(self):
        with self.changed:
            self.shut = True
            self.changed.wait_for(lambda: self.inside == 0)
        try:
            yield
        finally:
            with self.changed:
                self.shut = False
                self.changed.notify_all()


class Container:
    def __init__(self, id, name, state="created", networks=(), volumes=(), anonymous=(), short=False):
        self.id, self.name, self.state, self.short = id, name, state, short
        self.networks = dict.fromkeys(networks)  # name -> id, of networks
        self.volumes, self.anonymous = set(volumes), set(anonymous)
        self.unsure = False  # whether the networks are there that it will be in once it runs
        self.passing = False  # goes by itself once it has run

    def seen(self):
        return self.id, self.name, self.state, tuple(sorted(self.networks)), tuple(sorted(self.volumes | self.anonymous))


class Model:
    """What one agent should see."""

    def __init__(self, agent_container):
        self.agent_container = agent_container
        self.containers = {}  # id -> Container
        self.networks = {}  # id -> name
        self.volumes = set()

    def container(self, reference):
        """As the engine does: a whole id, a name, the beginning of an id."""
        everything = {**self.containers, self.agent_container: AGENT}
        if reference in everything:
            return everything[reference]
        named = [c for c in self.containers.values() if c.name == reference]
        return one_of(named or [c for id, c in everything.items() if id.startswith(reference)])

    def network(self, reference):
        if reference in self.networks:
            return reference
        named = [id for id, name in self.networks.items() if name == reference]
        return one_of(named or [id for id in self.networks if id.startswith(reference)])

    def running_in(self, network):
        return [c for c in self.containers.values() if c.state == "running" and c.networks.get(self.networks[network]) == network]

    def users_of(self, volume):
        return [c for c in self.containers.values() if volume in c.volumes | c.anonymous]

    def forget_network(self, network):
        name = self.networks.pop(network)
        for container in self.containers.values():
            if container.networks.get(name) == network:
                container.unsure = True

    def seen(self):
        return (sorted(c.seen() for c in self.containers.values()), sorted(self.networks.items()), sorted(self.volumes))


def one_of(found):
    return (found or [None])[0] if len(found) < 2 else AMBIGUOUS


def words(text):
    """A real name as the job gave it."""
    return re.sub(r"^eb-[0-9a-f]{12}-", "", text)


def seen_container(item):
    networks = item["NetworkSettings"]["Networks"] or {}
    return (item["Id"], words(item["Names"][0].removeprefix("/")), item["State"], tuple(sorted(map(words, networks))),
            tuple(sorted(words(mount["Name"]) for mount in item["Mounts"] if mount["Type"] == "volume")))


def seen_lists(api, filters):
    """What the three lists show."""
    containers = expect(api.call("GET", "/containers/json", all=1, filters=json.dumps(filters)), 200)
    networks = expect(api.call("GET", "/networks", filters=json.dumps(filters)), 200)
    volumes = expect(api.call("GET", "/volumes", filters=json.dumps(filters)), 200)["Volumes"] or []
    return (sorted(map(seen_container, containers)),
            sorted((n["Id"], words(n["Name"])) for n in networks if n["Name"] not in ("bridge", "host", "none")),
            sorted(words(v["Name"]) for v in volumes))


def without_states(seen):
    containers, networks, volumes = seen
    return [(id, name, *rest) for id, name, _, *rest in containers], networks, volumes


def expect(answer, *statuses):
    status, body = answer
    if status not in statuses:
        raise Wrong(f"status {status} where {' or '.join(map(str, statuses))} was due: {body}")
    return body


class Player:
    """One agent's operations, one after the other, on a thread of its own."""

    def __init__(self, world, number):
        self.world, self.number = world, number
        self.engine = Api(ENGINE.removeprefix("unix://"))
        self.random = random.Random(f"{SEED}-{number}")
        self.trace = collections.deque(maxlen=30)
        self.done = collections.Counter()
        self.failure = None
        self.slowest = 0  # seconds that a request took
        self.begin()

    # --- the agent ---

    def begin(self):
        self.job, self.agent, container = self.world.new_agent(self.number)
        self.api = Api(self.world.server.folder / "run/agents" / self.agent / "docker.sock")
        self.model = Model(container)

    def play(self):
        try:
            while time.monotonic() < self.world.end and not self.world.failed.is_set():
                with self.world.gate.through():
                    self.step()
        except Exception as error:
            self.failure = error
            self.world.failed.set()

    def step(self):
        name = self.random.choices(list(OPERATIONS), list(OPERATIONS.values()))[0]
        kills = self.world.kills
        self.trace.append(name)
        try:
            getattr(self, name)()
            self.done[name] += 1
            self.compare()
        except Away as away:
            self.trace.append(f"  away: {away}")
            self.adopt(kills, away)
        self.world.publish(self)

    def call(self, method, path, body=None, **query):
        self.trace.append(f"  {method} {path} {json.dumps(body) if body else ''} {query or ''}")
        began = time.monotonic()
        answer = self.api.call(method, path, body, **query)
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.trace[-1] += f" -> {answer[0]}" + (f" {answer[1]}" if answer[0] >= 400 else "")
        return answer

    def truth(self):
        """What the engine itself has of this agent."""
        label = ["ebbtide.server=" + self.world.server.id, "ebbtide.agent=" + self.agent, "ebbtide.role=belonging"]
        return seen_lists(self.engine, {"label": label})

    def compare(self):
        due = self.model.seen()
        seen = seen_lists(self.api, {})
        # The list may say of a container for some moments that it runs, after a wait has said that it ended (Engine 28.5:
        # the bare one, every third time; 20.10: never).
        end = time.monotonic() + (2 if self.world.late_lists else 0)
        while seen != due and without_states(seen) == without_states(due) and time.monotonic() < end:
            seen = seen_lists(self.api, {})
        self.agree(seen, due)

    def agree(self, seen, due):
        for kind, one, other in zip(("containers", "networks", "volumes"), seen, due):
            if one != other:
                raise Wrong(f"{kind} seen: {one}\ndue: {other}")

    def adopt(self, kills, away):
        """After a kill nobody knows whether the operation took place: the engine itself does."""
        until(f"a kill that explains {away}", lambda: self.world.killing.is_set() or self.world.kills > kills, 5)
        until("the server", lambda: not self.world.killing.is_set(), 60)
        kills = self.world.kills
        containers, networks, volumes = self.truth_at_rest()
        self.model.networks = dict(networks)
        self.model.volumes = set(volumes)
        self.model.containers = {}
        for id, name, state, of_networks, of_volumes in containers:
            detail = self.engine.call("GET", f"/containers/{id}/json")[1]
            anonymous = {v for v in of_volumes if re.fullmatch("[0-9a-f]{64}", v)}
            container = Container(id, name, state, of_networks, set(of_volumes) - anonymous, anonymous,
                                  detail["Config"]["Cmd"] == ["true"])
            for network, endpoint in detail["NetworkSettings"]["Networks"].items():
                container.networks[words(network)] = endpoint["NetworkID"]
            container.unsure = True
            container.passing = detail["HostConfig"]["AutoRemove"]
            self.model.containers[id] = container
        try:
            self.remove_passing()
            self.compare()
        except Away as again:  # killed once more meanwhile
            self.adopt(kills, again)

    def remove_passing(self):
        """Of a run that was cut off: it would go by itself at its end, also where its start fails."""
        for container in [c for c in self.model.containers.values() if c.passing]:
            expect(self.call("DELETE", f"/containers/{container.id}", force=True, v=True), 204)
            self.gone(container, True)

    def truth_at_rest(self):
        """The engine goes on with what it was asked for, after whoever asked has gone, for as long as it takes here."""
        truth, since = None, time.monotonic()
        while time.monotonic() - since < max(REST, 3 * self.slowest):
            if truth != (truth := self.truth()) or any(state == "removing" for _, _, state, *_ in truth[0]):
                since = time.monotonic()
            threading.Event().wait(0.2)
        return truth

    # --- references ---

    def some_container(self):
        """A reference, and what it should mean: mostly one of the agent's own."""
        own = list(self.model.containers.values())
        way = self.random.random()
        if own and way < 0.75:
            container = self.random.choice(own)
            forms = [container.name, container.id, container.id[:12], self.shortest(container.id)]
            reference = self.random.choice(forms)
        elif way < 0.9:
            reference = self.random.choice(NAMES)
        else:
            reference = self.world.foreign(self, "container") or "nobodys"
        return reference, self.model.container(reference)

    def shortest(self, id):
        others = {*self.model.containers, self.model.agent_container} - {id}
        names = {c.name for c in self.model.containers.values()}
        return next(id[:n] for n in range(1, 65) if id[:n] not in names and not any(o.startswith(id[:n]) for o in others))

    def some_network(self):
        own = list(self.model.networks.items())
        way = self.random.random()
        if own and way < 0.75:
            id, name = self.random.choice(own)
            reference = self.random.choice([id, name, id[:12]])
        else:
            reference = self.random.choice(NAMES) if way < 0.9 else self.world.foreign(self, "network") or "nobodys"
        return reference, self.model.network(reference)

    def some_volume(self):
        way = self.random.random()
        if self.model.volumes and way < 0.5:
            return self.random.choice(sorted(self.model.volumes))
        return self.random.choice(NAMES) if way < 0.9 else self.world.foreign(self, "volume") or "nobodys"

    def on_container(self, method, path, container, *statuses, body=None, **query):
        """A request on one container; False where the reference means none of the agent's."""
        answer = self.call(method, path, body, **query)
        if container is None:
            expect(answer, 404)
        elif container is AMBIGUOUS:
            expect(answer, 400, 500)
        elif container is AGENT:
            expect(answer, 403)
        else:
            expect(answer, *statuses)
            return answer
        return None

    # --- containers ---

    def create(self, remove=False):
        if len(self.model.containers) >= MANY:
            return self.remove()
        name = self.random.choice(NAMES + [None])
        volumes = self.random.sample(NAMES, self.random.choice([0, 0, 1, 2]))
        anonymous = self.random.random() < 0.2
        reference, network = self.some_network() if self.random.random() < 0.25 else ("none", None)
        short = remove or self.random.random() < 0.2
        image = BUSYBOX if self.random.random() < 0.95 else "no-such-image:1"
        body = {"Image": image, "Cmd": ["true"] if short else ["sleep", "100000"],
                "Volumes": {"/anonymous": {}} if anonymous else {},
                "HostConfig": {"NetworkMode": reference, "Binds": [f"{v}:/v{i}" for i, v in enumerate(volumes)],
                               "AutoRemove": remove}}
        answer = self.call("POST", "/containers/create", body, **({"name": name} if name else {}))
        if name and any(c.name == name for c in self.model.containers.values()):
            return expect(answer, 409, 404, 400)
        if image != BUSYBOX:
            return expect(answer, 404, 400)
        if reference != "none" and network in (None, AMBIGUOUS):
            return expect(answer, 400)  # the engine would say so only at the start
        id = expect(answer, 201)["Id"]
        container = Container(id, name, networks=["none"], volumes=volumes, short=short)
        if network:
            container.networks = {self.model.networks[network]: network}
        self.model.containers[id] = container
        self.model.volumes |= container.volumes
        if not name or anonymous:
            detail = expect(self.call("GET", f"/containers/{id}/json"), 200)
            container.name = detail["Name"].removeprefix("/")
            container.anonymous = {m["Name"] for m in detail["Mounts"]} - container.volumes
            if len(container.anonymous) != anonymous or any(not re.fullmatch("[0-9a-f]{64}", v) for v in container.anonymous):
                raise Wrong(f"anonymous volumes: {detail['Mounts']}")
            self.model.volumes |= container.anonymous
        return container

    def run_and_remove(self):
        """docker run --rm"""
        container = self.create(remove=True)
        if not isinstance(container, Container):
            return
        expect(self.call("POST", f"/containers/{container.id}/start"), 204)
        # Not by asking to wait: the engine would wait for ever where the container has just gone.
        until("its removal", lambda: self.call("GET", f"/containers/{container.id}/json")[0] == 404)
        self.gone(container, True)

    def start(self):
        reference, container = self.some_container()
        action = self.random.choice(["start", "start", "restart"])
        running = isinstance(container, Container) and container.state == "running"
        query = {"t": 0} if action == "restart" else {}
        statuses = (304,) if running and action == "start" else (204,)
        if isinstance(container, Container) and container.unsure:
            statuses = (*statuses, 404, 500)
        answer = self.on_container("POST", f"/containers/{reference}/{action}", container, *statuses, **query)
        if not answer or answer[0] >= 400:
            return
        container.state = "running"
        if container.unsure:  # it may have found one of the same name
            detail = expect(self.call("GET", f"/containers/{container.id}/json"), 200)
            container.networks = {n: e["NetworkID"] for n, e in detail["NetworkSettings"]["Networks"].items()}
        if container.short:
            self.ended(container)

    def stop(self):
        reference, container = self.some_container()
        running = isinstance(container, Container) and container.state == "running"
        if self.on_container("POST", f"/containers/{reference}/stop", container, 204 if running else 304, t=0) and running:
            container.state = "exited"

    def kill(self):
        reference, container = self.some_container()
        running = isinstance(container, Container) and container.state == "running"
        if self.on_container("POST", f"/containers/{reference}/kill", container, 204 if running else 409) and running:
            self.ended(container)

    def ended(self, container):
        expect(self.call("POST", f"/containers/{container.id}/wait"), 200)
        container.state = "exited"

    def rename(self):
        reference, container = self.some_container()
        name = self.random.choice(NAMES)
        owner = next((c for c in self.model.containers.values() if c.name == name), None)
        status = 204 if owner is None else 400 if owner is container else 409
        if self.on_container("POST", f"/containers/{reference}/rename", container, status, name=name) and status == 204:
            container.name = name

    def remove(self):
        reference, container = self.some_container()
        force, volumes = self.random.random() < 0.5, self.random.random() < 0.5
        running = isinstance(container, Container) and container.state == "running"
        status = 409 if running and not force else 204
        if self.on_container("DELETE", f"/containers/{reference}", container, status, force=force, v=volumes) and status == 204:
            self.gone(container, volumes)

    def gone(self, container, with_volumes):
        self.model.containers.pop(container.id)
        if with_volumes:
            self.model.volumes -= {v for v in container.anonymous if not self.model.users_of(v)}

    def inspect(self):
        reference, container = self.some_container()
        if container is AGENT:
            return
        answer = self.on_container("GET", f"/containers/{reference}/json", container, 200)
        if answer and (answer[1]["Id"], answer[1]["Name"]) != (container.id, "/" + container.name):
            raise Wrong(f"{reference} is {answer[1]['Id']} {answer[1]['Name']}")

    def filtered(self):
        """Lists by name, which is an expression."""
        name = self.random.choice([*NAMES, "^/db$", "a", "^b", "eb", "b1|web"])
        found = expect(self.call("GET", "/containers/json", all=1, filters=json.dumps({"name": [name]})), 200)
        due = {c.id for c in self.model.containers.values() if re.search(name, c.name) or re.search(name, "/" + c.name)}
        if {c["Id"] for c in found} != due:
            raise Wrong(f"{name} finds {found}, due {due}")

    def execute(self):
        reference, container = self.some_container()
        running = isinstance(container, Container) and container.state == "running"
        body = {"Cmd": ["echo", "from", reference], "AttachStdout": True}
        kills = self.world.kills
        answer = self.on_container("POST", f"/containers/{reference}/exec", container, 201 if running else 409, body=body)
        if not answer or not running:
            return
        out = expect(self.call("POST", f"/exec/{answer[1]['Id']}/start", {"Detach": False, "Tty": False}), 200)
        if not out and (self.world.killing.is_set() or self.world.kills > kills):
            raise Away("an output that ends with its connection")
        if out[8:].decode() != f"from {reference}\n":
            raise Wrong(f"exec said {out}")

    # --- networks ---

    def create_network(self):
        if len(self.model.networks) >= 4:
            return self.remove_network()
        name = self.random.choice(NAMES)
        answer = self.call("POST", "/networks/create", {"Name": name, "CheckDuplicate": True})
        if name in self.model.networks.values():
            return expect(answer, 409)
        self.model.networks[expect(answer, 201)["Id"]] = name

    def remove_network(self):
        reference, network = self.some_network()
        answer = self.call("DELETE", f"/networks/{reference}")
        if network in (None, AMBIGUOUS):
            return expect(answer, 404 if network is None else 400)
        busy = self.model.running_in(network)
        expect(answer, 403 if busy else 204)
        if not busy:
            self.model.forget_network(network)

    def connect(self):
        (to, network), (reference, container) = self.some_network(), self.some_container()
        answer = self.call("POST", f"/networks/{to}/connect", {"Container": reference}) if container is not AGENT else None
        if network in (None, AMBIGUOUS) or container in (None, AGENT, AMBIGUOUS):
            return answer and expect(answer, 400, 404)
        name = self.model.networks[network]
        if "none" in container.networks or (container.state == "running" and name in container.networks):
            return expect(answer, 400, 403, 409, 500)
        expect(answer, 200)  # also for a stopped one that is in it
        container.networks[name] = network

    def disconnect(self):
        (to, network), (reference, container) = self.some_network(), self.some_container()
        answer = self.call("POST", f"/networks/{to}/disconnect", {"Container": reference}) if container is not AGENT else None
        if network in (None, AMBIGUOUS) or container in (None, AGENT, AMBIGUOUS):
            return answer and expect(answer, 400, 404)
        name = self.model.networks[network]
        if name not in container.networks:
            return expect(answer, 403, 404, 409, 500)
        expect(answer, 200)
        container.networks.pop(name)

    # --- volumes ---

    def create_volume(self):
        name = self.random.choice([*NAMES, ""])
        if not name and len(self.model.volumes) > 8:
            return self.remove_volume()
        given = expect(self.call("POST", "/volumes/create", {"Name": name}), 201)["Name"]
        if given != name and not (name == "" and re.fullmatch("[0-9a-f]{64}", given)):
            raise Wrong(f"the volume {name} became {given}")
        self.model.volumes.add(given)

    def remove_volume(self):
        name = self.some_volume()
        answer = self.call("DELETE", f"/volumes/{name}")
        if name not in self.model.volumes:
            return expect(answer, 404)
        busy = self.model.users_of(name)
        expect(answer, 409 if busy else 204)
        if not busy:
            self.model.volumes.remove(name)

    # --- prune ---

    def prune_containers(self):
        body = expect(self.call("POST", "/containers/prune"), 200)
        due = [c for c in self.model.containers.values() if c.state != "running"]
        if sorted(body["ContainersDeleted"] or []) != sorted(c.id for c in due):
            raise Wrong(f"pruned {body}, due {[c.seen() for c in due]}")
        for container in due:
            self.gone(container, False)

    def prune_networks(self):
        body = expect(self.call("POST", "/networks/prune"), 200)
        due = [id for id in self.model.networks if not self.model.running_in(id)]
        if sorted(body["NetworksDeleted"] or []) != sorted(self.model.networks[id] for id in due):
            raise Wrong(f"pruned {body}, due {due}")
        for network in due:
            self.model.forget_network(network)

    def prune_volumes(self):
        body = expect(self.call("POST", "/volumes/prune"), 200)
        due = {v for v in self.model.volumes if not self.model.users_of(v)}
        if set(body["VolumesDeleted"] or []) != due:
            raise Wrong(f"pruned {body}, due {due}")
        self.model.volumes -= due

    def prune_images(self):
        expect(self.call("POST", "/images/prune", filters=json.dumps({"dangling": ["false"]})), 200)
        expect(self.call("GET", f"/images/{BUSYBOX}/json"), 200)

    # --- the end of the agent ---

    def reap(self):
        with self.world.reaping:
            self.world.end_agent(self)
            left = self.truth()
            if any(left):
                raise Wrong(f"{self.agent} left {left}")
            self.begin()


OPERATIONS = {"create": 20, "start": 16, "stop": 6, "kill": 5, "rename": 8, "remove": 10, "inspect": 6, "filtered": 5,
              "execute": 4, "run_and_remove": 3, "create_network": 6, "remove_network": 5, "connect": 4, "disconnect": 3,
              "create_volume": 6, "remove_volume": 7, "prune_containers": 1, "prune_networks": 1, "prune_volumes": 2,
              "prune_images": 1, "reap": 0.5}


class RandomOperations(ServerTest):
    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.reaping = threading.Lock()  # an agent ends, or the server does
        self.late_lists = harness.api_version() > 41
        self.gate, self.failed, self.killing = Gate(), threading.Event(), threading.Event()
        self.kills = self.jobs = 0
        self.lock = threading.Lock()  # guards jobs and what is published
        self.published = {}  # number -> (kind, id) of what that agent has
        self.agent_profile = self.profile("sleep 100000")
        self.foreign_name = f"db-{os.getpid()}"
        docker("run", "-d", "--network", "none", "--name", self.foreign_name, "-v", f"{self.foreign_name}:/d", BUSYBOX, "sleep",
               "100000")
        docker("network", "create", self.foreign_name)

    def tearDown(self):
        docker("rm", "-f", self.foreign_name)
        docker("volume", "rm", self.foreign_name)
        docker("network", "rm", self.foreign_name)
        super().tearDown()

    # --- what the players ask for ---

    def new_agent(self, number):
        with self.lock:
            self.jobs += 1
            job = gocd.job(self.jobs, name=f"job{number}")
        agent = self.bring_up(job, self.agent_profile)
        return job, agent, docker("inspect", "--format", "{{.Id}}", agent)

    def end_agent(self, player):
        if player.random.random() < 0.5:
            self.gocd.complete(player.agent, player.job, self.agent_profile, self.cluster)
        else:
            self.gocd.end_agent(player.agent)
        self.until_gone(player.agent)

    def publish(self, player):
        model = player.model
        things = [("container", id) for id in model.containers] + [("network", id) for id in model.networks]
        things += [("volume", v) for v in model.volumes if len(v) == 64] + [("container", model.agent_container)]
        with self.lock:
            self.published[player.number] = things

    def foreign(self, player, kind):
        """An id of another agent, whole or its beginning."""
        with self.lock:
            ids = [id for number, things in self.published.items() if number != player.number
                   for each, id in things if each == kind]
        return player.random.choice(ids)[:player.random.choice([12, 64])] if ids else None

    # --- the play ---

    def test_random_operations_of_agents_with_the_same_names_match_the_model(self):
        print(f"  seed {SEED}: {AGENTS} agents for {SECONDS:.0f} s", flush=True)
        players = [Player(self, number) for number in range(AGENTS)]
        began = docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}} {{.Mounts}}", self.foreign_name)
        self.end = time.monotonic() + SECONDS
        threads = [threading.Thread(target=player.play) for player in players]
        for thread in threads:
            thread.start()
        while time.monotonic() < self.end and not self.failed.wait(self.random.uniform(4, 12)):
            self.disturb(players)
        for thread in threads:
            thread.join()
        for player in players:
            if player.failure:
                print("\n".join([f"agent {player.number} {player.agent}:", *player.trace, f"  {player.failure!r}"]), flush=True)
        self.assertEqual([p.number for p in players if p.failure], [], f"agents with a difference, with the seed {SEED}")
        self.compare_all(players)
        for player in players:
            self.end_agent(player)
        self.assertEqual(docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}} {{.Mounts}}", self.foreign_name), began)
        done = sum((player.done for player in players), collections.Counter())
        print(f"  {sum(done.values())} operations, {self.kills} kills: {dict(done)}", flush=True)
        self.assertGreater(sum(done.values()), SECONDS)

    def disturb(self, players):
        what = self.random.choice(["compare", "compare", "kill", "kill in the middle"])
        if what == "kill in the middle":
            with self.reaping:
                return self.kill_server()
        with self.gate.closed():
            self.compare_all(players)
            if what == "kill":
                self.kill_server()
                self.compare_all(players)

    def kill_server(self):
        self.killing.set()
        self.server.kill()
        self.kills += 1
        self.server.start()
        until("the agents", self.server.ready)
        self.killing.clear()

    def compare_all(self, players):
        for player in players:
            if not player.failure:
                player.agree(player.truth(), player.model.seen())
                player.compare()


if __name__ == "__main__":
    harness.main()
