package ebbtide.bridge;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;

/** A real {@code ebbtide serve} with a state of its own; restarting keeps state and port. */
final class EbbtideProcess implements AutoCloseable {
    static final String TOKEN = "a-token-of-the-test";

    final String serverId = "bridge-" + UUID.randomUUID().toString().substring(0, 12);
    private final Path folder;
    private final int port;
    private final HttpClient client = HttpClient.newHttpClient();
    private Process process;

    private EbbtideProcess(Path folder) throws IOException {
        this.folder = folder;
        try (var probe = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            port = probe.getLocalPort();
        }
    }

    /** Skips the test if there is no binary to start. */
    static EbbtideProcess start(Path folder) throws IOException, InterruptedException {
        Assumptions.assumeTrue(System.getenv("EBBTIDE_BINARY") != null,
                "EBBTIDE_BINARY is not set: it names the ebbtide program to test against");
        var started = new EbbtideProcess(folder);
        started.start();
        return started;
    }

    String url() {
        return "http://127.0.0.1:" + port;
    }

    void start() throws IOException, InterruptedException {
        var command = List.of(System.getenv("EBBTIDE_BINARY"), "serve", "--listen", "127.0.0.1:" + port,
                "--state-dir", folder.resolve("state").toString(), "--run-dir", folder.resolve("run").toString(),
                "--server-id", serverId);
        var builder = new ProcessBuilder(command).redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.appendTo(folder.resolve("log").toFile()));
        builder.environment().keySet().removeIf(name -> name.startsWith("EBBTIDE_"));
        builder.environment().put("EBBTIDE_TOKEN", TOKEN);
        process = builder.start();
        Wait.until("the server", this::answers);
    }

    private boolean answers() {
        if (!process.isAlive()) {
            throw new AssertionError("the server ended: " + log());
        }
        try {
            return get("/healthz").equals("ok\n");
        } catch (IOException notYet) {
            return false;
        }
    }

    String get(String path) throws IOException {
        var request = HttpRequest.newBuilder(URI.create(url() + path)).header("Authorization", "Bearer " + TOKEN)
                .timeout(Duration.ofSeconds(10)).build();
        try {
            return client.send(request, BodyHandlers.ofString()).body();
        } catch (InterruptedException stopped) {
            throw new IOException(stopped);
        }
    }

    /** One message past the bridge. */
    String post(String requestName, String body) throws IOException, InterruptedException {
        var request = HttpRequest.newBuilder(URI.create(url() + "/plugin/v1/requests/" + requestName))
                .header("Authorization", "Bearer " + TOKEN).header("X-GoCD-Server-Id", FakeGocd.ID)
                .POST(HttpRequest.BodyPublishers.ofString(body)).build();
        return client.send(request, BodyHandlers.ofString()).body();
    }

    /** As a crash would end it. */
    void kill() throws InterruptedException {
        process.destroyForcibly().waitFor();
    }

    String log() {
        try {
            return Files.readString(folder.resolve("log"));
        } catch (IOException none) {
            return "(no log)";
        }
    }

    /** All on the engine of DOCKER_HOST that bears this server's id. */
    List<String> left() throws IOException, InterruptedException {
        var label = "label=ebbtide.server=" + serverId;
        var all = new ArrayList<String>();
        all.addAll(docker("ps", "-aq", "--filter", label).lines().toList());
        all.addAll(docker("network", "ls", "-q", "--filter", label).lines().toList());
        all.addAll(docker("volume", "ls", "-q", "--filter", label).lines().toList());
        return all;
    }

    static String docker(String... arguments) throws IOException, InterruptedException {
        var command = new ArrayList<>(List.of("docker"));
        command.addAll(List.of(arguments));
        var docker = new ProcessBuilder(command).redirectErrorStream(true).start();
        var out = new String(docker.getInputStream().readAllBytes());
        if (!docker.waitFor(60, TimeUnit.SECONDS) || docker.exitValue() != 0) {
            throw new IOException(String.join(" ", command) + ": " + out);
        }
        return out;
    }

    @Override
    public void close() {
        process.destroy();
        try {
            if (!process.waitFor(30, TimeUnit.SECONDS)) {
                kill();
            }
        } catch (InterruptedException stopped) {
            process.destroyForcibly();
            Thread.currentThread().interrupt();
        }
    }
}
