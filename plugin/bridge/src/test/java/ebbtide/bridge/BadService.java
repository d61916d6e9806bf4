package ebbtide.bridge;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;

/** A server that accepts connections and does wrong what can be done wrong. */
final class BadService implements AutoCloseable {
    enum Manner {
        /** Nobody listens. */
        CLOSED_PORT,
        /** Takes the request and says nothing. */
        HANGS,
        /** Closes in the middle of the body. */
        HALF_AN_ANSWER,
        /** Stops in the middle of the body, and keeps the connection. */
        HALF_AN_ANSWER_AND_HANGS,
        /** Status 500 with a page that repeats a secret. */
        STATUS_500,
        /** Bytes that are no HTTP. */
        GARBAGE,
        /** Somebody else's web page, with status 200. */
        A_STRANGERS_PAGE,
        /** A redirection to a login page. */
        REDIRECTS,
        /** A good answer, one byte every 100 ms. */
        SLOW_DRIP,
        /** A body without end. */
        ENDLESS
    }

    private final Manner manner;
    private final ServerSocket listener;
    private final int port;
    private final List<Socket> open = new CopyOnWriteArrayList<>();
    private final Map<Socket, String> asked = new ConcurrentHashMap<>();

    BadService(Manner manner) throws IOException {
        this.manner = manner;
        listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
        port = listener.getLocalPort();
        if (manner == Manner.CLOSED_PORT) {
            listener.close();
        } else {
            start(this::accept);
        }
    }

    String url() {
        return "http://127.0.0.1:" + port;
    }

    /** How many wait on an open connection for the answer to this. */
    long waiting(String requestName) {
        return asked.entrySet().stream()
                .filter(each -> each.getValue().contains(requestName) && !each.getKey().isClosed()).count();
    }

    private static void start(Runnable task) {
        var thread = new Thread(task, "bad-service");
        thread.setDaemon(true);
        thread.start();
    }

    private void accept() {
        try {
            while (true) {
                var socket = listener.accept();
                open.add(socket);
                start(() -> serve(socket));
            }
        } catch (IOException closed) {
            return;
        }
    }

    private void serve(Socket socket) {
        try (socket) {
            var request = new byte[65536];
            int length = socket.getInputStream().read(request);
            asked.put(socket, new String(request, 0, Math.max(length, 0), StandardCharsets.ISO_8859_1));
            misbehave(socket.getInputStream(), socket.getOutputStream());
        } catch (IOException | InterruptedException gone) {
            return;
        }
    }

    private void misbehave(InputStream in, OutputStream out) throws IOException, InterruptedException {
        var head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
        switch (manner) {
            case HANGS -> hang(in);
            case HALF_AN_ANSWER -> write(out, head + "{\"view\":");
            case HALF_AN_ANSWER_AND_HANGS -> {
                write(out, head + "true");
                hang(in);
            }
            case STATUS_500 -> write(out, "HTTP/1.1 500 Oops\r\nContent-Length: " + Samples.SECRET.length()
                    + "\r\n\r\n" + Samples.SECRET);
            case GARBAGE -> write(out, "\u0000\u0001SSH-2.0-nothing\r\n\r\n");
            case A_STRANGERS_PAGE -> write(out, "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html>hi</html>");
            case REDIRECTS -> write(out, "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n");
            case SLOW_DRIP -> {
                for (var c : "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n".concat(" ".repeat(200)).split("")) {
                    write(out, c);
                    Thread.sleep(100);
                }
            }
            case ENDLESS -> {
                write(out, "HTTP/1.1 200 OK\r\n\r\n");
                while (true) {
                    write(out, " ".repeat(65536));
                }
            }
            case CLOSED_PORT -> throw new IllegalStateException();
        }
    }

    private static void write(OutputStream out, String text) throws IOException {
        out.write(text.getBytes(StandardCharsets.ISO_8859_1));
        out.flush();
    }

    /** Until the other side has gone. */
    private static void hang(InputStream in) throws IOException {
        in.transferTo(OutputStream.nullOutputStream());
    }

    @Override
    public void close() throws IOException {
        listener.close();
        for (var socket : open) {
            socket.close();
        }
    }
}
