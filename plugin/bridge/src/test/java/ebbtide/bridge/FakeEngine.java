package ebbtide.bridge;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** An engine whose containers run as soon as they are created, and are nothing but entries in a list. */
final class FakeEngine implements AutoCloseable {
    static {
        System.setProperty("sun.net.httpserver.nodelay", "true"); // or each answer takes 40 ms
    }

    private final HttpServer server = HttpServer.create(
            new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    private final ExecutorService threads = Executors.newCachedThreadPool();
    private final CountDownLatch closed = new CountDownLatch(1);
    private final Map<String, Map<String, Object>> containers = new LinkedHashMap<>(); // by id
    private final List<Object> volumes = new ArrayList<>();

    FakeEngine() throws IOException {
        server.setExecutor(threads);
        server.createContext("/", this::handle);
        server.start();
    }

    String uri() {
        return "tcp://127.0.0.1:" + server.getAddress().getPort();
    }

    private void handle(HttpExchange exchange) throws IOException {
        var path = exchange.getRequestURI().getPath().replaceFirst("^/v[0-9.]+", "");
        var body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
        if (path.equals("/events")) {
            holdOpen(exchange);
            return;
        }
        try {
            var answer = answer(exchange, path, body).getBytes(StandardCharsets.UTF_8);
            var hasBody = answer.length > 0 && !exchange.getRequestMethod().equals("HEAD");
            exchange.sendResponseHeaders(path.endsWith("/create") ? 201 : 200, hasBody ? answer.length : -1);
            if (hasBody) {
                exchange.getResponseBody().write(answer);
            }
        } catch (Json.Malformed bad) {
            exchange.sendResponseHeaders(400, -1);
        }
        exchange.close();
    }

    private void holdOpen(HttpExchange exchange) throws IOException {
        exchange.sendResponseHeaders(200, 0);
        exchange.getResponseBody().flush();
        try {
            closed.await();
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
        }
        exchange.close();
    }

    private synchronized String answer(HttpExchange exchange, String path, String body) throws Json.Malformed {
        if (path.equals("/_ping")) {
            return "OK";
        }
        if (path.equals("/version")) {
            return "{\"Version\":\"20.10.24\",\"ApiVersion\":\"1.41\",\"MinAPIVersion\":\"1.12\"}";
        }
        if (path.equals("/containers/create")) {
            return create(exchange.getRequestURI().getQuery(), (Map<?, ?>) Json.parse(body));
        }
        if (path.equals("/containers/json")) {
            return Json.write(new ArrayList<>(containers.values()));
        }
        if (path.equals("/volumes/create")) {
            volumes.add(Json.parse(body));
            return body;
        }
        if (path.equals("/volumes")) {
            return Json.write(Map.of("Volumes", volumes));
        }
        if (path.startsWith("/containers/") && path.endsWith("/json")) {
            return inspect(path.split("/")[2]);
        }
        return path.endsWith("s/json") || path.equals("/networks") ? "[]" : "{\"Id\":\"sha256:1\",\"ID\":\"fake\"}";
    }

    private String create(String query, Map<?, ?> body) {
        var id = String.format("%064x", containers.size() + 1);
        var container = new LinkedHashMap<String, Object>();
        container.put("Id", id);
        container.put("Names", List.of("/" + query.substring("name=".length())));
        container.put("Image", body.get("Image"));
        container.put("State", "running");
        container.put("Labels", body.get("Labels"));
        containers.put(id, container);
        return "{\"Id\":\"" + id + "\"}";
    }

    private String inspect(String idOrName) {
        var found = containers.values().stream()
                .filter(each -> each.get("Id").equals(idOrName) || ((List<?>) each.get("Names")).contains("/" + idOrName))
                .findFirst().orElseThrow();
        return Json.write(Map.of("Id", found.get("Id"), "Name", ((List<?>) found.get("Names")).get(0),
                "State", Map.of("Status", "running", "Running", true),
                "Config", Map.of("Image", found.get("Image"), "Labels", found.get("Labels"))));
    }

    @Override
    public void close() {
        closed.countDown();
        server.stop(0);
        threads.shutdownNow();
    }
}
