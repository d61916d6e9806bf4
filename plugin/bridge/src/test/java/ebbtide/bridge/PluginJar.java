package ebbtide.bridge;

import com.thoughtworks.go.plugin.api.GoPlugin;
import com.thoughtworks.go.plugin.api.annotation.Extension;
import java.io.IOException;
import java.lang.reflect.Modifier;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.jar.JarFile;

/**
 * The JAR, loaded as GoCD does: every class in it, by a loader of its own that sees GoCD's plugin API and what the JDK
 * exports, and nothing else of the server.
 */
final class PluginJar implements AutoCloseable {
    private static final String API = "com.thoughtworks.go.plugin.api.";

    /** What GoCD delegates to the boot class path, and no more. */
    private static final class Visible extends ClassLoader {
        Visible() {
            super("gocd", null);
        }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            if (name.startsWith(API)) {
                return PluginJar.class.getClassLoader().loadClass(name);
            }
            if (name.startsWith("com.sun.") || name.startsWith("sun.") || name.startsWith("jdk.")) {
                throw new ClassNotFoundException(name + " is not visible to plugins");
            }
            return ClassLoader.getPlatformClassLoader().loadClass(name);
        }
    }

    final Path path = Path.of(System.getProperty("bridge.jar"));
    private final URLClassLoader loader;
    private final List<Class<?>> classes = new ArrayList<>();

    PluginJar() throws IOException, ClassNotFoundException {
        loader = new URLClassLoader("plugin", new URL[] {url(path)}, new Visible());
        for (var name : classNames()) {
            classes.add(Class.forName(name, true, loader));
        }
    }

    private static URL url(Path path) throws MalformedURLException {
        return path.toUri().toURL();
    }

    private List<String> classNames() throws IOException {
        try (var jar = new JarFile(path.toFile())) {
            return jar.stream().map(entry -> entry.getName())
                    .filter(name -> name.endsWith(".class") && !name.startsWith("lib/") && !name.startsWith("META-INF/"))
                    .map(name -> name.substring(0, name.length() - ".class".length()).replace('/', '.')).toList();
        }
    }

    List<Class<?>> classes() {
        return classes;
    }

    /** The classes that GoCD takes for extensions. */
    List<Class<?>> extensions() {
        return classes.stream().filter(each -> each.isAnnotationPresent(Extension.class)
                && Modifier.isPublic(each.getModifiers()) && !Modifier.isAbstract(each.getModifiers())).toList();
    }

    GoPlugin plugin() throws ReflectiveOperationException {
        return (GoPlugin) extensions().get(0).getConstructor().newInstance();
    }

    @Override
    public void close() throws IOException {
        loader.close();
    }
}
