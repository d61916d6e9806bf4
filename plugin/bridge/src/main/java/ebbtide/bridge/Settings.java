package ebbtide.bridge;

import java.net.URI;
import java.nio.file.Path;

/**
 * How the service is reached: one consistent reading, with the contents of the files that it names, so that a change in
 * any of them makes unequal settings. Texts that are not set are null.
 */
record Settings(URI url, String token, String ca, String certificate, String key, Path queueFile) {

    /** A setting that can't be used; the text names it and says what would be right. */
    static final class Wrong extends Exception {
        private static final long serialVersionUID = 1;

        Wrong(String what) {
            super(what);
        }
    }

    boolean isSecure() {
        return "https".equalsIgnoreCase(url.getScheme());
    }

    /** The token would cross a network in the clear. */
    boolean exposesToken() {
        var host = url.getHost();
        var local = host.equals("localhost") || host.equals("[::1]") || host.startsWith("127.");
        return token != null && !isSecure() && !local;
    }

    @Override
    public String toString() {
        return url + (token == null ? ", no token" : ", with a token") + (certificate == null ? "" : ", mutual TLS");
    }
}
