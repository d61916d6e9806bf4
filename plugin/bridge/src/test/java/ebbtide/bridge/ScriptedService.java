package ebbtide.bridge;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import com.sun.net.httpserver.HttpsServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** A service whose answers the test says, and whose processor requests it asks. */
final class ScriptedService implements AutoCloseable {
    record Said(int status, String body) {}

    record Heard(String name, String body, String authorization, String gocd) {}

    private static final String END = "end the stream";

    final HttpServer server;
    final BlockingQueue<Heard> heard = new LinkedBlockingQueue<>();
    final Map<String, String> answers = new ConcurrentHashMap<>();
    final AtomicInteger attachments = new AtomicInteger();
    private final Map<String, Said> script = new ConcurrentHashMap<>();
    private final ExecutorService threads = Executors.newCachedThreadPool();
    private volatile BlockingQueue<String> stream = new LinkedBlockingQueue<>();

    ScriptedService() throws IOException {
        this(HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0));
    }

    ScriptedService(HttpServer server) {
        this.server = server;
        server.setExecutor(threads);
        server.createContext("/plugin/v1/requests/", this::message);
        server.createContext("/plugin/v1/processor-requests", this::listen);
        server.createContext("/plugin/v1/processor-responses/", this::response);
        server.start();
    }

    String url() {
        return (server instanceof HttpsServer ? "https" : "http") + "://127.0.0.1:" + server.getAddress().getPort();
    }

    void say(Message message, int status, String body) {
        script.put(message.requestName, new Said(status, body));
    }

    /** A line of the processor stream. */
    void send(String line) {
        stream.add(line);
    }

    void ask(String id, String api, String body) {
        send("{\"id\":\"" + id + "\",\"api\":\"" + api + "\",\"api_version\":\"1.0\",\"body\":"
                + Json.write(body) + "}");
    }

    void endStream() {
        send(END);
    }

    private void message(HttpExchange exchange) throws IOException {
        var name = exchange.getRequestURI().getPath().substring("/plugin/v1/requests/".length());
        var body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
        var headers = exchange.getRequestHeaders();
        heard.add(new Heard(name, body, headers.getFirst("Authorization"), headers.getFirst("X-GoCD-Server-Id")));
        var said = script.getOrDefault(name, new Said(200, ""));
        reply(exchange, said.status, said.body);
    }

    private void response(HttpExchange exchange) throws IOException {
        var id = exchange.getRequestURI().getPath().substring("/plugin/v1/processor-responses/".length());
        answers.put(id, new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8));
        reply(exchange, 200, "");
    }

    private void listen(HttpExchange exchange) throws IOException {
        var lines = new LinkedBlockingQueue<String>();
        exchange.sendResponseHeaders(200, 0);
        try (var out = exchange.getResponseBody()) {
            out.write("{}\n".getBytes(StandardCharsets.UTF_8));
            out.flush();
            stream = lines;
            attachments.incrementAndGet();
            for (var line = lines.poll(1, TimeUnit.MINUTES); !END.equals(line); line = lines.poll(1, TimeUnit.MINUTES)) {
                out.write(((line == null ? "{}" : line) + "\n").getBytes(StandardCharsets.UTF_8));
                out.flush();
            }
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
        }
    }

    private static void reply(HttpExchange exchange, int status, String body) throws IOException {
        var bytes = body.getBytes(StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(status, bytes.length == 0 ? -1 : bytes.length);
        try (var out = exchange.getResponseBody()) {
            out.write(bytes);
        }
    }

    @Override
    public void close() {
        endStream();
        server.stop(0);
        threads.shutdownNow();
    }
}
