package ebbtide.bridge;

import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Properties;
import java.util.function.UnaryOperator;

/**
 * Where settings come from. Each key of {@code KEYS}, for example {@code token_file}, is the system property
 * {@code ebbtide.token_file}, the environment variable {@code EBBTIDE_TOKEN_FILE}, or {@code token_file} in
 * ebbtide.properties, in that order of strength.
 */
final class SettingsSource {
    static final List<String> KEYS = List.of("url", "token", "token_file", "ca", "certificate", "key", "queue_file");
    private static final String DEFAULT_URL = "http://127.0.0.1:8160"; // where the service listens by default
    private static final String FILE = "ebbtide.properties";

    private final UnaryOperator<String> property;
    private final UnaryOperator<String> environment;
    private final Path folder;

    /** @param folder the working directory of GoCD's server, which relative paths start from */
    SettingsSource(UnaryOperator<String> property, UnaryOperator<String> environment, Path folder) {
        this.property = property;
        this.environment = environment;
        this.folder = folder;
    }

    static SettingsSource ofThisProcess() {
        return new SettingsSource(System::getProperty, System::getenv, Path.of("").toAbsolutePath());
    }

    Settings read() throws Settings.Wrong {
        var file = readFile();
        var certificate = contents("certificate", value("certificate", file));
        var key = contents("key", value("key", file));
        if ((certificate == null) != (key == null)) {
            throw new Settings.Wrong("certificate and key go together: set both, or none");
        }
        return new Settings(url(file), token(file), contents("ca", value("ca", file)), certificate, key,
                queueFile(file));
    }

    /** This one alone, whatever else is wrong; null if it is wrong itself. */
    Path queueFile() {
        try {
            return queueFile(readFile());
        } catch (Settings.Wrong bad) {
            return null;
        }
    }

    private Properties readFile() throws Settings.Wrong {
        var path = file();
        var read = new Properties();
        if (path == null) {
            return read;
        }
        try (var in = Files.newBufferedReader(path)) {
            read.load(in);
        } catch (IOException | IllegalArgumentException bad) {
            throw new Settings.Wrong("the settings file " + path + " can't be read: " + bad);
        }
        for (var name : read.stringPropertyNames()) {
            if (!KEYS.contains(name)) {
                throw new Settings.Wrong("the key " + name + " in " + path + " is unknown; there are "
                        + String.join(", ", KEYS));
            }
        }
        return read;
    }

    // In GoCD's image config/ is on a volume, the working directory itself is not.
    private Path file() throws Settings.Wrong {
        var named = value("settings", new Properties());
        if (named != null) {
            return path("settings", named);
        }
        for (var candidate : List.of(folder.resolve("config").resolve(FILE), folder.resolve(FILE))) {
            if (Files.exists(candidate)) {
                return candidate;
            }
        }
        return null;
    }

    private String value(String key, Properties file) {
        var found = property.apply("ebbtide." + key);
        if (found == null || found.isBlank()) {
            found = environment.apply("EBBTIDE_" + key.toUpperCase(Locale.ROOT));
        }
        if (found == null || found.isBlank()) {
            found = file.getProperty(key);
        }
        return found == null || found.isBlank() ? null : found.strip();
    }

    private URI url(Properties file) throws Settings.Wrong {
        var text = value("url", file);
        try {
            var url = new URI(text == null ? DEFAULT_URL : text.replaceAll("/+$", ""));
            var scheme = url.getScheme() == null ? "" : url.getScheme().toLowerCase(Locale.ROOT);
            var plain = url.getUserInfo() == null && url.getQuery() == null && url.getFragment() == null;
            if (plain && url.getHost() != null && (scheme.equals("http") || scheme.equals("https"))) {
                return url;
            }
        } catch (URISyntaxException bad) {
            // told below; its message would repeat the text, which may hold a password
        }
        throw new Settings.Wrong("url must look like https://ebbtide.example.com:8160, without user, query or fragment");
    }

    private String token(Properties file) throws Settings.Wrong {
        var token = value("token", file);
        var tokenFile = value("token_file", file);
        if (token != null && tokenFile != null) {
            throw new Settings.Wrong("token and token_file are both set: leave one of them out");
        }
        if (tokenFile != null) {
            token = contents("token_file", tokenFile).strip();
            if (token.isEmpty()) {
                throw new Settings.Wrong("token_file names an empty file: " + tokenFile);
            }
        }
        if (token != null && !token.chars().allMatch(c -> c > ' ' && c < 127)) {
            throw new Settings.Wrong("the token may hold visible ASCII characters only, and no spaces");
        }
        return token;
    }

    private String contents(String key, String path) throws Settings.Wrong {
        if (path == null) {
            return null;
        }
        try {
            return Files.readString(path(key, path), StandardCharsets.UTF_8);
        } catch (IOException bad) {
            throw new Settings.Wrong(key + " names a file that can't be read: " + bad);
        }
    }

    private Path path(String key, String text) throws Settings.Wrong {
        try {
            return folder.resolve(text);
        } catch (InvalidPathException bad) {
            throw new Settings.Wrong(key + " is not the name of a file");
        }
    }

    // GoCD's db/ outlives restarts, in the image too, where it is on a volume.
    private Path queueFile(Properties file) throws Settings.Wrong {
        var named = value("queue_file", file);
        if (named != null) {
            return path("queue_file", named);
        }
        var database = folder.resolve("db");
        return (Files.isDirectory(database) ? database : folder).resolve("ebbtide-completions");
    }
}
