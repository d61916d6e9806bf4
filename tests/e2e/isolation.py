"""Two agents on one engine: the same names, the same compose project, paths of their own, and no way from one to the
other or to the host."""
import json
import os
import subprocess
import tempfile
import urllib.parse

import harness
from harness import AGENT_IMAGE, BUSYBOX, ENGINE, ServerTest, docker, gocd, left_by_prune, until

COMPOSE = f"""
version: "3"
services:
  db:
    image: {BUSYBOX}
    container_name: thedb
    hostname: of-WHO
    command: sleep 1000
    volumes: ["data:/data", "./here:/here"]
  web:
    image: {BUSYBOX}
    command: sleep 1000
    depends_on: [db]
volumes:
  data: {{}}
"""

# As GoCD's agent images: the working directory is a volume.
GOCD_IMAGE = "ebbtide-test/gocd-agent:1"


def build_gocd_image():
    dockerfile = f"FROM {AGENT_IMAGE}\nRUN mkdir /work && chown 1000:0 /work\nVOLUME /work\nWORKDIR /work\n"
    docker("build", "-q", "-t", GOCD_IMAGE, "-", input=dockerfile)


class TwoAgentsTest(ServerTest):
    def setUp(self):
        super().setUp()
        build_gocd_image()
        self.profile_of_both = {**self.profile("sleep 3000", Mounts="/usr:/machine/usr:ro\n/usr/lib:/lib:ro\n"
                                                                    "/usr/lib64:/lib64:ro"), "Image": GOCD_IMAGE}
        self.jobs = [gocd.job(1, name="one"), gocd.job(2, name="two")]
        self.one, self.two = (self.bring_up(job, self.profile_of_both) for job in self.jobs)

    def tearDown(self):
        for agent, job in zip((self.one, self.two), self.jobs):
            if agent not in self.gocd.deleted:
                self.gocd.complete(agent, job, self.profile_of_both, self.cluster)
        for agent in (self.one, self.two):
            self.until_gone(agent)
        self.assertEqual(harness.mounts_below(self.server.folder), [], "still staged")
        self.assertEqual(list(self.server.folder.glob("run/mounts/*")), [])
        super().tearDown()

    def shell(self, agent, script, user="go"):
        script = f"exec 2>&1; export DOCKER_BUILDKIT=0 B={BUSYBOX} A={AGENT_IMAGE}\n{script}"
        return harness.run("docker", "exec", "-u", user, agent, "sh", "-c", script, check=False).stdout

    def both(self, script):
        return self.shell(self.one, script), self.shell(self.two, script)



class Names(TwoAgentsTest):
    def test_names_are_each_agents_own(self):
        ids = self.both("""
            docker network create net >/dev/null; docker volume create data >/dev/null
            docker run -d --name db --network net -v data:/d --hostname h $B sleep 1000""")
        self.assertNotEqual(*ids)
        for agent, own in zip((self.one, self.two), ids):
            own = own.strip()
            out = self.shell(agent, f"""
                docker ps --no-trunc --format '{{{{.ID}}}} {{{{.Names}}}} {{{{.Networks}}}} {{{{.Mounts}}}}'
                docker inspect --format '{{{{.Name}}}} {{{{.HostConfig.NetworkMode}}}} {{{{.HostConfig.Binds}}}}' {own[:5]}
                docker run --rm --network net $B nslookup db >/dev/null && echo resolved
                docker network inspect --format '{{{{.Name}}}} {{{{range .Containers}}}}{{{{.Name}}}}{{{{end}}}}' net
                docker volume inspect --format '{{{{.Name}}}}' data; docker stats --no-stream --format '{{{{.Name}}}}' db""")
            self.assertEqual(out.splitlines(), [f"{own} db net data", "/db net [data:/d]", "resolved", "net db", "data", "db"])
        # The real ones are there twice, and the job's words on no answer.
        self.assertEqual(len(docker("ps", "-q", "--filter", "name=eb-.*-db").split()), 2)
        everything = self.shell(self.one, "docker inspect db; docker inspect net; docker inspect data; docker ps -a; "
                                          "docker run --name db $B true; docker volume rm data; docker network rm net; "
                                          "docker system df -v; docker events --since 100 --until $(date +%s)")
        self.assertNotIn("eb-", everything.replace(self.one, "").replace("ebbtide-test", ""))
        self.assertNotIn("ebbtide.", everything)
        self.assertIn('The container name "/db" is already in use', everything)

    def test_another_agents_objects_look_like_none(self):
        other = self.shell(self.two, "docker network create theirs; docker run -d --name other $B sleep 1000").split()[-1]
        for name in ("other", other, other[:12]):
            out = self.shell(self.one, f"docker inspect {name}; docker rm -f {name}; docker exec {name} true; docker logs {name}; "
                                       f"docker run --network container:{name} $B true; docker commit {name} x")
            self.assertNotIn(other[:12], out.replace(name, ""))
            self.assertGreaterEqual(out.lower().count("no such"), 5, out)
        self.assertIn("other", self.shell(self.two, "docker ps --format '{{.Names}}'"))

    def test_filters_and_renames_are_in_the_jobs_words(self):
        out = self.shell(self.one, """
            for n in abc abd xyz; do docker create --name $n $B true >/dev/null; docker volume create v-$n >/dev/null; docker network create n-$n >/dev/null; done
            docker ps -a --filter name=^/ab --format '{{.Names}}' | sort
            docker ps -a --filter name=xyz --filter name='^abc$' --format '{{.Names}}' | sort
            docker ps -a --filter name=eb --format '{{.Names}}'; docker ps -aq -n 1 --filter name=ab | wc -l
            docker ps -a --filter before=xyz --format '{{.Names}}' | sort
            docker volume ls --filter name=v-ab --format '{{.Name}}'; docker network ls --filter name=n-x --format '{{.Name}}'
            docker rename abc renamed; docker ps -a --filter name=renamed --format '{{.Names}}'; docker rm renamed abd xyz""")
        self.assertEqual(out.split(), ["abc", "abd", "abc", "xyz", "1", "abc", "abd", "v-abc", "v-abd", "n-xyz", "renamed",
                                       "renamed", "abd", "xyz"])

    def test_the_same_compose_project_in_both(self):
        script = """
            mkdir -p /work/project/here; cd /work/project; echo %s >here/file
            cat >docker-compose.yml <<'END'
%s
END
            export COMPOSE_DOCKER_CLI_BUILD=0 PYTHONHOME=/machine/usr PATH=$PATH:/machine/usr/bin HOME=/home/go
            compose() { /machine/usr/bin/python3 /machine/usr/bin/docker-compose --ansi never "$@" 2>/dev/null; }
            compose up -d; compose exec -T web nslookup db </dev/null; compose exec -T db cat /here/file </dev/null
            compose exec -T db sh -c 'hostname; echo from the container >/here/back' </dev/null; cat here/back
            docker ps --format '{{.Names}}' | sort"""
        outs = [self.shell(agent, script % (name, COMPOSE.replace("WHO", name)))
                for agent, name in ((self.one, "first"), (self.two, "second"))]
        for out, name in zip(outs, ("first", "second")):
            self.assertIn(f"{name}\nof-{name}\nfrom the container\nproject_web_1\nthedb\n", out)
        down = self.shell(self.one, """cd /work/project
            export PYTHONHOME=/machine/usr PATH=$PATH:/machine/usr/bin HOME=/home/go
            /machine/usr/bin/python3 /machine/usr/bin/docker-compose down -v; docker ps -aq | wc -l""")
        self.assertTrue(down.endswith("0\n"), down)
        self.assertIn("thedb", self.shell(self.two, "docker ps --format '{{.Names}}'"))

    def test_prune_in_one_takes_nothing_of_the_other(self):
        self.both("docker network create net; docker volume create data; docker create --name kept -v /anonymous $B true")
        before = self.shell(self.two, "docker ps -aq; docker volume ls -q; docker network ls -q")
        self.shell(self.one, "docker system prune -af --volumes")
        self.assertEqual(self.shell(self.two, "docker ps -aq; docker volume ls -q; docker network ls -q"), before)
        left = self.shell(self.one, "docker ps -aq; docker volume ls -q; docker network ls --filter name=net -q")
        self.assertEqual(left, left_by_prune("data"))

    def of_the_cluster(self):
        return "?key=" + urllib.parse.quote(self.gocd.get("/api/v1/clusters")[0]["key"])

    def caches(self):
        return self.gocd.get("/api/v1/clusters/caches" + self.of_the_cluster())

    def prune_caches(self):
        answer = self.gocd.call("POST", "/api/v1/clusters/prune-caches" + self.of_the_cluster(),
                                headers={"X-Ebbtide-Action": "prune-caches"})
        return json.loads(answer)["message"]

    def test_volumes_that_are_shared_outlive_their_agents(self):
        job, profile = gocd.job(7, name="cache"), {**self.profile("sleep 3000"), "Volumes": "shared:e2e-cache-*"}
        first = self.bring_up(job, profile)
        try:
            self.assertEqual(self.shell(first, "docker run --rm -v e2e-cache-m2:/c $B sh -c 'echo kept >/c/f'; "
                                               "docker volume ls -q; docker volume rm e2e-cache-m2; "
                                               "docker volume prune -f >/dev/null; docker volume ls -q --filter name=^e2e").count(
                                                   "e2e-cache-m2\n"), 2)
            self.gocd.complete(first, job, profile, self.cluster)
            self.until_gone(first)
            second = self.bring_up(gocd.job(8, name="cache2"), profile)
            self.assertEqual(self.shell(second, "docker run --rm -v e2e-cache-m2:/c $B cat /c/f; docker volume ls -q").split(),
                             ["kept", "e2e-cache-m2"])
            self.assertEqual(self.shell(self.one, "docker volume ls -q; docker run --rm -v e2e-cache-m2:/c $B ls /c"), "",
                             "an agent whose profile does not share it has one of its own")
            self.assertEqual(self.caches(), ["e2e-cache-m2"])
            self.shell(second, "docker run -d -v e2e-cache-m2:/c $B sleep 3000")
            self.assertEqual(self.prune_caches(), "0 caches are removed. Still there, since a container uses it: e2e-cache-m2.")
            self.gocd.end_agent(second)
            self.until_gone(second)
            self.assertEqual(self.prune_caches(), "1 cache is removed.")
            self.assertEqual(self.caches(), [])
        finally:
            for volume in docker("volume", "ls", "-q", "--filter", "label=ebbtide.shared-volume=" + self.server.id).split():
                docker("volume", "rm", volume)

    def test_images_of_the_host_are_not_replaced_and_those_of_jobs_go(self):
        build = "printf 'FROM %s\\nRUN echo $RANDOM >/x\\n' $B | docker build -q -t "
        out = self.shell(self.one, f"{build} $B - ; docker tag $A $B; {build} e2e-app:1 - >/dev/null; docker run --rm e2e-app:1 true && echo ran")
        self.assertEqual(out.count("protected-image"), 2, out)
        self.assertIn("ran", out)
        self.assertIn("ran", self.shell(self.two, f"{build} e2e-app:1 - >/dev/null; docker run --rm e2e-app:1 true && echo ran"))
        for agent, job in zip((self.one, self.two), self.jobs):
            self.gocd.complete(agent, job, self.profile_of_both, self.cluster)
            self.until_gone(agent)
        self.assertEqual(docker("images", "-q", "e2e-app"), "")

    def test_a_load_takes_no_tag_of_the_host(self):
        before = docker("images", "-q", "--no-trunc", BUSYBOX)
        out = self.shell(self.one, """
            mkdir -p ~/l/r/bin; cd ~/l; cp /bin/busybox r/bin/sh; tar -C r -c . | docker import - e2e-loaded:1 >/dev/null
            docker save e2e-loaded:1 -o t; docker rmi e2e-loaded:1 >/dev/null; mkdir x; tar -C x -xf t; rm -f x/repositories
            sed -i "s,library/e2e-loaded:1,$B,; s,e2e-loaded:1,$B," x/*.json; tar -C x -cf t .; docker load -i t; echo exit $?; docker save $B | docker load""")
        self.assertRegex(out, "(?s)rule: protected-image.*exit 1\nLoaded image: " + BUSYBOX)
        self.assertEqual(out.count("protected-image"), 1)
        self.assertEqual(docker("images", "-q", "--no-trunc", BUSYBOX), before)
        self.assertIn("protected-image", [each["rule"] for each in self.gocd.get(f"/api/v1/agents/{self.one}/audit")])

    def test_an_isolated_job_sees_its_own_images(self):
        job, profile = gocd.job(9, name="alone"), {**self.profile("sleep 3000"), "Images": "isolated"}
        agent = self.bring_up(job, profile)
        out = self.shell(agent, "docker images -q | wc -l; docker inspect $B; docker history $B; docker run --pull never $B true; "
                                "mkdir -p ~/r/bin; cp /bin/busybox ~/r/bin/sh; tar -C ~/r -c . | docker import - e2e-base:1 >/dev/null; "
                                "printf 'FROM e2e-base:1\\nCMD echo mine\\n' | docker build -q -t e2e-own:1 - >/dev/null; "
                                "docker run --rm e2e-own:1; docker images --format '{{.Repository}}' | sort; docker save $B | wc -c; "
                                "docker info --format '{{.Images}} images'")
        self.assertEqual(out.splitlines()[0], "0")
        self.assertEqual(out.lower().count("no such"), 4, out)
        self.assertIn("mine\ne2e-base\ne2e-own\n", out)
        self.assertIn("\n3 images\n", out)  # one is a step of the build
        self.gocd.complete(agent, job, profile, self.cluster)
        self.until_gone(agent)


class Paths(TwoAgentsTest):
    def test_a_path_of_the_agent_is_that_path(self):
        out = self.shell(self.one, """
            mkdir -p /work/src /tmp/fs; echo in the volume >/work/src/f; echo in the file system >/tmp/fs/f; ln -s /work/src /tmp/link
            docker run --rm -v /work/src:/s $B cat /s/f
            docker run --rm -v /tmp/fs:/s $B cat /s/f
            docker run --rm -v /tmp/link:/s $B cat /s/f
            docker run --rm -v /work/src/f:/one $B cat /one
            docker run --rm --mount type=bind,source=/work/src,target=/s,readonly $B sh -c 'cat /s/f; touch /s/x 2>&1'
            docker run --rm -v /work/src:/s $B sh -c 'echo back >/s/b'; cat /work/src/b
            docker run --rm -v /work:/w -w /w/src $B ls
            docker run --rm -v /work/made/deep:/s $B sh -c 'echo new >/s/n'; cat /work/made/deep/n; stat -c %u /work/made
            docker run --rm --mount type=bind,source=/work/absent,target=/s $B true 2>&1 | grep -o 'bind source path does not exist: /work/absent'
            docker create --name cc -v /work/src:/s:ro $B true >/dev/null
            docker inspect --format '{{.HostConfig.Binds}} {{range .Mounts}}{{.Source}} {{.RW}}{{end}}' cc""")
        self.assertEqual(out.splitlines(), [
            "in the volume", "in the file system", "in the volume", "in the volume", "in the volume",
            "touch: /s/x: Read-only file system", "back", "b", "f", "new", "0",
            "bind source path does not exist: /work/absent", "[/work/src:/s:ro] /work/src false"])

    def test_what_is_read_only_for_the_agent_stays_so(self):
        out = self.shell(self.one, "docker run --rm -v /machine/usr:/u $B touch /u/x; docker run --rm -v /machine/usr/new:/u $B true")
        self.assertIn("Read-only file system", out)
        self.assertIn("host-path", out)
        self.assertFalse(os.path.exists("/usr/x") or os.path.exists("/usr/new"))

    def test_links_lead_nowhere_but_into_the_agent(self):
        marker = tempfile.mkdtemp(prefix="ebbtide-host-")
        open(f"{marker}/secret", "w").write("of the host\n")
        out = self.shell(self.one, f"""
            mkdir -p /work/a /tmp/b
            ln -s {marker} /work/a/abs; ln -s ../../../../../../../../../..{marker} /work/a/up; ln -s {marker} /tmp/b/abs
            for p in /work/a/abs /work/a/up /tmp/b/abs /work/a/../../../../..{marker} /work/../../{marker}; do
              docker run --rm -v $p:/x $B ls /x; docker run --rm --mount type=bind,source=$p,target=/x $B ls /x
            done
            ln -s / /work/a/root; docker run --rm -v /work/a/root:/x $B ls /x{marker}
            docker run --rm -v /:/x $B ls /x{marker}; docker run --rm -v /:/x $B cat /x/etc/passwd | grep -c ^go:
            docker run --rm -v /proc:/x $B true; docker run --rm -v /proc/1/root:/x $B ls /x; docker run --rm -v /dev:/x $B true
            docker volume create --opt type=none --opt o=bind --opt device={marker} v""")
        os.unlink(f"{marker}/secret"), os.rmdir(marker)
        self.assertNotIn("secret", out)
        self.assertIn("\n1\n", out)
        self.assertGreaterEqual(out.count("host-path"), 2, out)

    def test_a_path_that_is_swapped_while_it_is_mounted_never_shows_the_host(self):
        marker = tempfile.mkdtemp(prefix="ebbtide-host-")
        open(f"{marker}/secret", "w").write("of the host\n")
        out = self.shell(self.one, f"""
            mkdir -p /work/real; ln -sfn {marker} /work/evil; touch /work/real/fine
            (while [ ! -e /tmp/stop ]; do mv -T /work/real /work/x 2>/dev/null; mv -T /work/evil /work/real; mv -T /work/real /work/evil; mv -T /work/x /work/real; done) &
            for i in 1 2 3 4 5 6 7 8 9 10 11 12; do docker run --rm --network none -v /work/real:/x $B ls /x; done; touch /tmp/stop; wait""")
        os.unlink(f"{marker}/secret"), os.rmdir(marker)
        self.assertNotIn("secret", out)

    def test_a_child_with_the_socket_mounts_its_own_paths(self):
        out = self.shell(self.one, """
            mkdir -p /work/j; echo the agents >/work/j/f
            docker run --rm -v /var/run/docker.sock:/var/run/docker.sock -v /work/j:/inner -e B=$B $A \
              sh -c 'docker run --rm -v /inner:/x $B cat /x/f; mkdir /own; echo the childs >/own/f; docker run --rm -v /own:/x $B cat /x/f'""")
        self.assertEqual(out.splitlines(), ["the agents", "the childs"])

    def test_paths_survive_a_restart_of_the_server(self):
        self.shell(self.one, "mkdir -p /work/r; docker run -d --name rr -v /work/r:/r $B sleep 1000")
        self.server.kill()
        self.server.start()
        until("the agents", self.server.ready)
        out = self.shell(self.one, "docker restart -t 0 rr; docker exec rr touch /r/after; ls /work/r; "
                                   "docker inspect --format '{{.HostConfig.Binds}}' rr; docker run --rm -v /work/r:/x $B ls /x")
        self.assertEqual(out.split(), ["rr", "after", "[/work/r:/r]", "after"])


if __name__ == "__main__":
    harness.main()
