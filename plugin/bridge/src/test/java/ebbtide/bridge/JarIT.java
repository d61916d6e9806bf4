package ebbtide.bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.thoughtworks.go.plugin.api.GoPlugin;
import com.thoughtworks.go.plugin.api.annotation.Load;
import com.thoughtworks.go.plugin.api.annotation.UnLoad;
import com.thoughtworks.go.plugin.api.exceptions.UnhandledRequestTypeException;
import com.thoughtworks.go.plugin.api.info.PluginContext;
import com.thoughtworks.go.plugin.api.request.DefaultGoPluginApiRequest;
import com.thoughtworks.go.plugin.api.response.GoPluginApiResponse;
import java.lang.annotation.Annotation;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.Arrays;
import java.util.List;
import java.util.jar.JarFile;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The JAR itself, loaded as GoCD does. */
class JarIT {
    private PluginJar jar;

    @BeforeEach
    void setUp() throws Exception {
        jar = new PluginJar();
    }

    @AfterEach
    void tearDown() throws Exception {
        jar.close();
    }

    private static GoPluginApiResponse send(GoPlugin plugin, String name, String body)
            throws UnhandledRequestTypeException {
        var request = new DefaultGoPluginApiRequest("elastic-agent", "5.0", name);
        request.setRequestBody(body);
        return plugin.handle(request);
    }

    private static List<Method> annotated(Class<?> type, Class<? extends Annotation> annotation) {
        return Arrays.stream(type.getMethods()).filter(each -> each.isAnnotationPresent(annotation)).toList();
    }

    @Test
    void everyClassLoadsWithTheApiAndTheJdkAlone() {
        assertFalse(jar.classes().isEmpty());
        assertEquals(1, jar.extensions().size());
        assertTrue(jar.classes().stream().allMatch(each -> each.getClassLoader().getName().equals("plugin")));
        assertThrows(ClassNotFoundException.class,
                () -> jar.classes().get(0).getClassLoader().loadClass(Test.class.getName()));
    }

    @Test
    void theJarHoldsWhatGocdAcceptsAndNoMore() throws Exception {
        try (var file = new JarFile(jar.path.toFile())) {
            assertNotNull(file.getEntry("plugin.xml"));
            assertSame(null, file.getManifest().getMainAttributes().getValue("Bundle-SymbolicName"));
            assertSame(null, file.getEntry("module-info.class"));
            assertTrue(file.stream().noneMatch(entry -> entry.getName().endsWith(".jar")), "no dependency is packed");
        }
    }

    @Test
    void theExtensionIsMadeAsGocdWants() throws Exception {
        var type = jar.extensions().get(0);
        assertInstanceOf(GoPlugin.class, type.getConstructor().newInstance());
        assertTrue(annotated(type, Load.class).size() <= 1);
        var unload = annotated(type, UnLoad.class);
        assertEquals(1, unload.size());
        assertFalse(Modifier.isStatic(unload.get(0).getModifiers()));
        assertEquals(List.of(PluginContext.class), List.of(unload.get(0).getParameterTypes()));
        var identifier = jar.plugin().pluginIdentifier();
        assertEquals("elastic-agent", identifier.getExtension());
        assertEquals(List.of("5.0"), identifier.getSupportedExtensionVersions());
    }

    /** In GoCD's order, with no service anywhere. */
    @Test
    void whatGocdAsksAtLoadIsAnsweredWithNoServiceThere() throws Exception {
        var plugin = jar.plugin();
        plugin.initializeGoApplicationAccessor(new FakeGocd());
        var config = "{\"plugin_settings\":{},\"cluster_profiles\":[{\"id\":\"x\",\"properties\":{\"a\":\"\"}}]}";
        assertEquals(config, send(plugin, Message.PREFIX + "migrate-config", config).responseBody());
        for (var name : List.of("get-elastic-agent-profile-metadata", "get-elastic-agent-profile-view",
                "get-cluster-profile-metadata", "get-cluster-profile-view", "get-icon", "get-capabilities")) {
            var answer = send(plugin, Message.PREFIX + name, null);
            assertEquals(200, answer.responseCode(), name);
            assertNotNull(Json.parse(answer.responseBody()), name);
        }
        assertEquals("{}", send(plugin, "go.plugin-settings.get-configuration", null).responseBody());
        assertThrows(UnhandledRequestTypeException.class, () -> send(plugin, "go.plugin-settings.get-view", null));
        annotated(jar.extensions().get(0), UnLoad.class).get(0).invoke(plugin, (Object) null);
        assertEquals(500, send(plugin, Message.SERVER_PING.requestName, "{}").responseCode());
    }
}
