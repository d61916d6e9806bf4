package ebbtide.bridge;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.http.HttpResponse.BodySubscriber;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Flow;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * The lines of a stream that never ends, each waited for with a limit. The HTTP client writes, one other thread reads;
 * no more is fetched than was read.
 */
final class Lines implements BodySubscriber<Lines>, AutoCloseable {
    private static final int MAX_LINE = 4 << 20;

    /** A line, or how the stream ended. */
    private record Event(String line, IOException end) {}

    private final BlockingQueue<Event> events = new LinkedBlockingQueue<>();
    private final ByteArrayOutputStream partial = new ByteArrayOutputStream();
    private Flow.Subscription subscription; // guarded by this, as the next
    private boolean closed;

    /** The next line; null if none came within the limit. Throws when the stream has ended. */
    String next(Duration limit) throws IOException, InterruptedException {
        var event = events.poll(limit.toNanos(), TimeUnit.NANOSECONDS);
        if (event == null) {
            return null;
        }
        if (event.end != null) {
            throw event.end;
        }
        if (events.isEmpty()) {
            more();
        }
        return event.line;
    }

    @Override
    public synchronized void close() {
        closed = true;
        if (subscription != null) {
            subscription.cancel();
        }
    }

    @Override
    public CompletionStage<Lines> getBody() {
        return CompletableFuture.completedFuture(this); // at once: the lines come later
    }

    // May come after the answer's head was handed out, and even after its reader closed it.
    @Override
    public synchronized void onSubscribe(Flow.Subscription given) {
        subscription = given;
        if (closed) {
            given.cancel();
        } else {
            given.request(1);
        }
    }

    private synchronized void more() {
        subscription.request(1);
    }

    @Override
    public void onNext(List<ByteBuffer> buffers) {
        boolean whole = false;
        for (var buffer : buffers) {
            while (buffer.hasRemaining()) {
                whole |= take(buffer.get());
            }
        }
        if (partial.size() > MAX_LINE) {
            close();
            onError(new IOException("a line is longer than " + MAX_LINE + " bytes"));
        } else if (!whole) {
            more();
        }
    }

    private boolean take(byte each) {
        if (each != '\n') {
            partial.write(each);
            return false;
        }
        events.add(new Event(partial.toString(StandardCharsets.UTF_8), null));
        partial.reset();
        return true;
    }

    @Override
    public void onError(Throwable failure) {
        events.add(new Event(null, failure instanceof IOException io ? io : new IOException(failure)));
    }

    @Override
    public void onComplete() {
        events.add(new Event(null, new IOException("the stream has ended")));
    }
}
