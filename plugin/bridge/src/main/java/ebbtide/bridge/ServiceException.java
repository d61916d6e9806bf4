package ebbtide.bridge;

/** The service gave no usable answer. The message says why, for people, and never repeats a body or a secret. */
final class ServiceException extends Exception {
    private static final long serialVersionUID = 1;

    /** The service is well and has refused this one message: asking again would change nothing. */
    final boolean isRefusal;

    private ServiceException(String message, boolean isRefusal) {
        super(message);
        this.isRefusal = isRefusal;
    }

    static ServiceException unreachable(String reason) {
        return new ServiceException(reason, false);
    }

    static ServiceException refusal(String reason) {
        return new ServiceException(reason, true);
    }
}
