package ebbtide.bridge;

import java.io.IOException;
import java.net.ConnectException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandler;
import java.nio.channels.UnresolvedAddressException;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import javax.net.ssl.SSLException;

/** The service over HTTP, with one reading of the settings. Every call has a limit, from its start to the last byte. */
final class Service {
    private static final int MAX_BODY = 16 << 20;
    private static final int MAX_TOLD = 300;

    private final Settings settings;
    private final HttpClient client;

    Service(Settings settings, Executor executor) throws Settings.Wrong {
        this.settings = settings;
        var builder = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).executor(executor);
        if (settings.isSecure()) {
            builder.sslContext(Tls.context(settings));
        }
        this.client = builder.build();
    }

    Settings settings() {
        return settings;
    }

    /** One of GoCD's messages; the body of the service's answer. */
    String ask(Message message, String gocd, String version, String body, Duration limit) throws ServiceException {
        return checked(send(messageRequest(message, gocd, version, body), limit));
    }

    /** The same, and nobody waits: the future fails with a ServiceException. */
    CompletableFuture<String> begin(Message message, String gocd, String version, String body) {
        var exchange = client.sendAsync(messageRequest(message, gocd, version, body), bounded());
        return exchange.thenCompose(Service::checkedLater)
                .orTimeout(message.limit.toNanos(), TimeUnit.NANOSECONDS)
                .whenComplete((answer, failure) -> exchange.cancel(true)); // or its connection would stay
    }

    /** Opens the stream of processor requests. */
    Lines listen(String gocd, Duration limit) throws ServiceException {
        var response = await(request("/plugin/v1/processor-requests", gocd).GET().build(), info -> new Lines(), limit);
        if (response.statusCode() != 200) {
            response.body().close();
            throw refused(response.statusCode(), null);
        }
        return response.body();
    }

    /** GoCD's answer to a processor request. False: the service no longer waits for it. */
    boolean answer(String gocd, String id, Gocd.Reply reply, Duration limit) throws ServiceException {
        var body = new LinkedHashMap<String, Object>();
        body.put("code", reply.code());
        body.put("body", reply.body());
        var response = send(post("/plugin/v1/processor-responses/" + id, gocd, Json.write(body)).build(), limit);
        if (response.statusCode() == 404) {
            return false;
        }
        checked(response);
        return true;
    }

    private HttpRequest messageRequest(Message message, String gocd, String version, String body) {
        return post("/plugin/v1/requests/" + message.requestName, gocd, body)
                .header("X-Extension-Version", version)
                .build();
    }

    private HttpRequest.Builder post(String path, String gocd, String body) {
        return request(path, gocd)
                .header("Content-Type", "application/json")
                .POST(BodyPublishers.ofString(body == null ? "" : body));
    }

    private HttpRequest.Builder request(String path, String gocd) {
        var request = HttpRequest.newBuilder(URI.create(settings.url() + path)).header("X-GoCD-Server-Id", gocd);
        if (settings.token() != null) {
            request.header("Authorization", "Bearer " + settings.token());
        }
        return request;
    }

    private static BodyHandler<String> bounded() {
        return info -> new BoundedBody(MAX_BODY);
    }

    private HttpResponse<String> send(HttpRequest request, Duration limit) throws ServiceException {
        return await(request, bounded(), limit);
    }

    // A kept connection may have been closed by the other side a moment ago, so a broken one is tried again once; every
    // message may be sent twice.
    private <T> HttpResponse<T> await(HttpRequest request, BodyHandler<T> handler, Duration limit)
            throws ServiceException {
        long deadline = System.nanoTime() + limit.toNanos();
        try {
            try {
                return once(request, handler, deadline);
            } catch (IOException broken) {
                if (broken instanceof ConnectException || broken instanceof SSLException) {
                    throw broken;
                }
                return once(request, handler, deadline);
            }
        } catch (TimeoutException late) {
            throw ServiceException.unreachable("no answer within " + limit.toMillis() + " ms");
        } catch (IOException failed) {
            throw ServiceException.unreachable(reason(failed));
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
            throw ServiceException.unreachable("the wait was interrupted");
        }
    }

    // HttpRequest.timeout ends with the answer's head; a body that drips would be waited for without end.
    private <T> HttpResponse<T> once(HttpRequest request, BodyHandler<T> handler, long deadline)
            throws IOException, TimeoutException, InterruptedException {
        var answer = client.sendAsync(request, handler);
        try {
            return answer.get(deadline - System.nanoTime(), TimeUnit.NANOSECONDS);
        } catch (ExecutionException failed) {
            throw failed.getCause() instanceof IOException io ? io : new IOException(failed.getCause());
        } finally {
            answer.cancel(true); // without effect when it is there
        }
    }

    private static CompletableFuture<String> checkedLater(HttpResponse<String> response) {
        try {
            return CompletableFuture.completedFuture(checked(response));
        } catch (ServiceException refused) {
            return CompletableFuture.failedFuture(refused);
        }
    }

    private static String checked(HttpResponse<String> response) throws ServiceException {
        if (response.statusCode() == 200) {
            return response.body();
        }
        throw refused(response.statusCode(), response.body());
    }

    private static ServiceException refused(int status, String body) {
        return switch (status) {
            case 400, 413, 422 -> ServiceException.refusal("it refuses the message (" + status + ")" + told(body));
            case 401, 403 -> ServiceException.unreachable(
                    "it refuses the token (" + status + "): the bridge and the service must be given the same one");
            case 404 -> ServiceException.unreachable(
                    "it doesn't know what was asked (404): check that the URL leads to Ebbtide, and both versions");
            default -> ServiceException.unreachable("it answers with status " + status + told(body));
        };
    }

    // The service's own words; anything else that may stand there is not shown.
    private static String told(String body) {
        try {
            var message = body == null ? null : Json.text(Json.parse(body), "message");
            return message == null ? "" : ": " + message.substring(0, Math.min(message.length(), MAX_TOLD));
        } catch (Json.Malformed foreign) {
            return "";
        }
    }

    private static String reason(IOException failed) {
        for (Throwable cause = failed; cause != null; cause = cause.getCause()) {
            if (cause instanceof UnresolvedAddressException) {
                return "the name of its host is unknown";
            }
        }
        if (failed instanceof ConnectException) {
            return "no connection: check that it runs, the URL, and firewalls";
        }
        if (failed instanceof SSLException) {
            return "no TLS connection: " + failed.getMessage() + "; check ca, certificate and the name in the URL";
        }
        return "the connection broke: " + failed.getMessage();
    }
}
