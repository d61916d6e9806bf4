"""What a program does with the Python SDK, and all that it is told: sdk.py PREFIX IMAGE [bare], at DOCKER_HOST,
which is the bare engine or a gateway."""
import io
import json
import sys
import tarfile
import time

import docker
from docker.types import LogConfig, Mount, Ulimit

prefix, image = sys.argv[1:3]
bare = "bare" in sys.argv[3:]
client = docker.from_env()


def show(what, value=None):
    text = json.dumps(value, sort_keys=True, indent=1, default=lambda v: v.decode() if isinstance(v, bytes) else str(v))
    print(what, text, flush=True)


def attempt(what, call):
    """An error's kind, status and words."""
    try:
        show(what, call())
    except docker.errors.ContainerError as error:
        show(what, ["ContainerError", error.exit_status, error.stderr])
    except docker.errors.APIError as error:
        show(what, [type(error).__name__, error.status_code, error.explanation])


def archive(**files):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return data.getvalue()


def containers():
    show("run", client.containers.run(image, "echo hello", remove=True))
    show("run with streams", client.containers.run(image, ["sh", "-c", "echo out; sleep 0.5; echo err >&2"], remove=True, stderr=True))
    attempt("run that fails", lambda: client.containers.run(image, ["sh", "-c", "echo no >&2; exit 3"], remove=True))
    attempt("no program", lambda: client.containers.run(image, "no-such-program", name=prefix + "-np"))
    client.containers.get(prefix + "-np").remove()
    one = client.containers.run(
        image, "sleep 1000", name=prefix + "-one", detach=True, environment={"A": "b"}, labels={"x": "y"}, hostname="host",
        working_dir="/tmp", user="1000:0", mem_limit="64m", ulimits=[Ulimit(name="nofile", soft=100, hard=200)],
        log_config=LogConfig(type="json-file", config={"max-size": "1m"}), tmpfs={"/t": "size=1m"}, cap_add=["NET_ADMIN"],
        volumes={prefix + "-v": {"bind": "/v", "mode": "rw"}}, ports={"80/tcp": None, "81/tcp": ("127.0.0.1", None)},
        extra_hosts={"other": "10.1.2.3"}, dns=["10.9.9.9"], restart_policy={"Name": "on-failure", "MaximumRetryCount": 2},
        healthcheck={"test": ["CMD", "true"], "interval": 1_000_000_000}, init=False, read_only=True, stop_signal="KILL",
        mounts=[Mount("/m", prefix + "-m", labels={"of": "mount"})], shm_size="1m", sysctls={"net.core.somaxconn": "100"})
    attributes = client.containers.get(one.id[:10]).attrs
    attributes["Mounts"].sort(key=str)  # which the engine gives in no order
    show("attributes", attributes)
    show("listed", [c.name for c in client.containers.list(filters={"name": prefix})])
    summary = client.api.containers(filters={"label": "x=y", "name": prefix})
    for item in summary:
        item["Ports"].sort(key=str)
        item["Mounts"].sort(key=str)
    show("summary", summary)
    show("exec", one.exec_run("sh -c 'echo $A; echo err >&2; exit 4'", demux=True))
    show("exec with input", with_input(one))
    show("top", [row[-1] for row in one.top(ps_args="-o pid,args")["Processes"]])
    show("put", one.exec_run("touch /x").exit_code)
    show("stats", sorted(one.stats(stream=False)))
    one.update(mem_limit="128m", memswap_limit="128m")
    one.rename(prefix + "-two")
    one.reload()
    show("renamed", [one.name, one.attrs["HostConfig"]["Memory"]])
    attempt("name taken", lambda: client.containers.create(image, name=prefix + "-two"))
    one.pause()
    one.unpause()
    one.restart(timeout=0)
    attempt("removed while it runs", one.remove)
    one.kill()
    show("waited", one.wait())
    attempt("killed twice", one.kill)
    one.remove(v=True)
    attempt("gone", one.reload)
    attempt("no image", lambda: client.containers.create(prefix + "-none:1", volumes=[prefix + "-never:/x"]))
    for name in ("-v", "-m"):
        client.volumes.get(prefix + name).remove()
    attempt("no volume", lambda: client.volumes.get(prefix + "-never"))


def with_input(container):
    """The low level: a hijacked connection, closed for writing while it is read."""
    exec_id = client.api.exec_create(container.id, "wc -c", stdin=True)["Id"]
    connection = client.api.exec_start(exec_id, socket=True)
    raw = getattr(connection, "_sock", connection)
    raw.sendall(b"x" * 5000)
    raw.shutdown(1)
    said = b""
    while piece := raw.recv(4096):
        said += piece
    return [said[8:], client.api.exec_inspect(exec_id)["ExitCode"]]


def logs_and_files():
    lines = client.containers.run(image, ["sh", "-c", "for i in 1 2 3; do echo line $i; sleep 0.1; done"], detach=True)
    show("followed", list(lines.logs(stream=True, follow=True)))
    show("tail", lines.logs(tail=1))
    show("stamped", len(lines.logs(timestamps=True).splitlines()))
    lines.put_archive("/tmp", archive(file="content\n"))
    stream, stat = lines.get_archive("/tmp/file")
    show("archive", [tarfile.open(fileobj=io.BytesIO(b"".join(stream))).getnames(), stat["name"], stat["size"]])
    show("diff", sorted(change["Path"] for change in lines.diff()))
    made = lines.commit(prefix + "-c", "1", message="a message", author="me", changes=["CMD cat /tmp/file"])
    show("committed", client.containers.run(made.id, remove=True))
    config = made.attrs["Config"]
    if client.version()["ApiVersion"] != "1.41":  # null on current engines, which is {} by way of the gateway
        config["Labels"] = made.labels
    show("commit", [made.tags, made.attrs.get("Comment"), made.attrs.get("Author"), config])
    lines.remove()
    client.images.remove(prefix + "-c:1")


def networks_and_volumes():
    net = client.networks.create(prefix + "-n", labels={"x": "y"}, check_duplicate=True, internal=True)
    attempt("duplicate", lambda: client.networks.create(prefix + "-n", check_duplicate=True))
    config = {prefix + "-n": client.api.create_endpoint_config(aliases=["db"])}
    db = client.containers.create(image, "sleep 1000", name=prefix + "-db", network=prefix + "-n", networking_config=config)
    db.start()
    show("found", client.containers.run(image, "ping -c1 -q db", network=prefix + "-n", remove=True).splitlines()[-2])
    other = client.containers.run(image, "sleep 1000", detach=True, name=prefix + "-o")
    net.connect(other, aliases=["second"])
    net.reload()
    show("network", {**net.attrs, "Containers": sorted(c["Name"] for c in net.attrs["Containers"].values())})
    other.reload()
    # Through the gateway the name is an alias too: that is what the network's DNS knows it by.
    endpoints = sorted(other.attrs["NetworkSettings"]["Networks"].items())
    show("endpoints", [[name, [a for a in e["Aliases"] or [] if a != prefix + "-o"]] for name, e in endpoints])
    attempt("in use", net.remove)
    net.disconnect(other)
    attempt("not in it", lambda: net.disconnect(other))
    other.remove(force=True)
    db.remove(force=True)
    show("networks", [n.name for n in client.networks.list(names=[prefix + "-n"])])
    net.remove()
    attempt("gone", net.reload)
    volume = client.volumes.create(prefix + "-v", labels={"x": "y"}, driver="local", driver_opts={"type": "tmpfs", "device": "tmpfs"})
    show("volume", volume.attrs)
    show("volumes", [v.name for v in client.volumes.list(filters={"name": prefix})])
    user = client.containers.create(image, volumes=[prefix + "-v:/v", "/anonymous"])
    show("mounts", sorted([m["Type"], m["Destination"], m["Driver"], m["RW"]] for m in user.attrs["Mounts"]))
    attempt("in use", volume.remove)
    user.remove(v=True)
    volume.remove()
    attempt("gone", volume.reload)


def images():
    built, log = client.images.build(fileobj=io.BytesIO(archive(
        Dockerfile=f"FROM {image}\nARG WHO\nLABEL a=b\nCOPY file /file\nRUN cat /file >/copy; echo $WHO\nVOLUME /data\nCMD cat /copy\n",
        file="of the context\n")), custom_context=True, tag=prefix + "-b:1", buildargs={"WHO": "me"}, nocache=True, rm=True)
    show("build", [line.get("stream") for line in log])
    show("image", {key: built.attrs.get(key) for key in ("RepoTags", "Config", "Architecture", "Os", "Author", "Comment")})
    show("runs", client.containers.run(prefix + "-b:1", remove=True))
    show("history", [[h["CreatedBy"], h["Tags"], h["Comment"]] for h in built.history()])
    built.tag(prefix + "-b", "2")
    built.reload()
    show("images", [sorted(i.tags) for i in client.images.list(name=prefix + "-b")])
    saved = b"".join(built.save(named=prefix + "-b:2"))
    for tag in ("1", "2"):
        client.images.remove(f"{prefix}-b:{tag}")
    show("loaded", [i.tags for i in client.images.load(saved)])
    show("runs", client.containers.run(prefix + "-b:2", remove=True))
    client.images.remove(prefix + "-b:2")
    attempt("gone", lambda: client.images.get(prefix + "-b:2"))
    attempt("bad build", lambda: client.api.build(fileobj=io.BytesIO(b"NOT A DOCKERFILE"), tag="x").__next__())
    show("failed build", failed_build())
    attempt("pulled", lambda: client.images.pull("127.0.0.1:1/" + prefix, tag="1"))


def failed_build():
    try:
        client.images.build(fileobj=io.BytesIO(f"FROM {image}\nRUN exit 9\n".encode()), rm=True, forcerm=True)
    except docker.errors.BuildError as error:
        return str(error)


def events():
    since = int(time.time())
    for name in ("-e1", "-e2"):
        client.containers.run(image, "true", name=prefix + name, remove=False, network_mode="none")
        client.containers.get(prefix + name).remove()
    found = client.events(since=since, until=int(time.time()) + 1, decode=True, filters={"container": prefix + "-e1"})
    show("events", [[e["Type"], e["Action"], e["Actor"]["Attributes"]] for e in found])


def usage():
    while True:
        try:
            return client.df()
        except docker.errors.APIError as error:
            # The bare engine refuses who looks while another does. The gateway has its jobs wait.
            if not bare or "a disk usage operation is already running" not in str(error):
                raise
            time.sleep(0.1)


def system():
    show("ping", client.ping())
    version = client.version()
    show("version", {key: version[key] for key in ("ApiVersion", "MinAPIVersion", "Version", "Os", "Platform")})
    info = client.info()
    show("info", {key: info[key] for key in ("Driver", "CgroupDriver", "DefaultRuntime", "OSType", "MemTotal", "ServerVersion", "Name")})
    show("info", sorted(info))
    show("usage", sorted(usage()))


for part in (system, containers, logs_and_files, networks_and_volumes, images, events):
    print("==", part.__name__)
    part()
