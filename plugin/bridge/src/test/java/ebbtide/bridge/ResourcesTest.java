package ebbtide.bridge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.thoughtworks.go.plugin.api.GoPlugin;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.Optional;
import java.util.regex.Pattern;
import javax.xml.XMLConstants;
import javax.xml.transform.stream.StreamSource;
import javax.xml.validation.SchemaFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ResourcesTest {
    private static final Path FILES = Path.of("../resources"); // Maven runs tests in the module's folder

    private final Resources resources = new Resources();

    private String answer(String name) {
        return resources.answer(Message.PREFIX + name, null).orElseThrow();
    }

    @ParameterizedTest
    @CsvSource({
        "get-capabilities, capabilities.json", "get-cluster-profile-metadata, cluster-profile-metadata.json",
        "get-elastic-agent-profile-metadata, elastic-agent-profile-metadata.json"
    })
    void capabilitiesAndMetadataAreTheServicesFiles(String name, String file) throws Exception {
        assertEquals(Files.readString(FILES.resolve(file)), answer(name));
    }

    @ParameterizedTest
    @ValueSource(strings = {"cluster-profile-view", "elastic-agent-profile-view"})
    void formsAreTemplates(String name) throws Exception {
        assertEquals(Files.readString(FILES.resolve(name + ".html")),
                Json.text(Json.parse(answer("get-" + name)), "template"));
    }

    @Test
    void theIconIsBase64InOneLine() throws Exception {
        var icon = Json.parse(answer("get-icon"));
        assertEquals("image/svg+xml", Json.text(icon, "content_type"));
        assertFalse(Json.text(icon, "data").contains("\n"));
        assertArrayEquals(Files.readAllBytes(FILES.resolve("icon.svg")),
                Base64.getDecoder().decode(Json.text(icon, "data")));
    }

    @Test
    void migrateConfigGivesBackByteForByte() {
        var body = "{ \"plugin_settings\":{},\"cluster_profiles\":[{\"id\":\"a.b\",\"properties\":{\"x.y\":\"\","
                + "\"n\":null,\"é\":\"{{SECRET:[f][k]}}\\r\\n\"}}],\"elastic_agent_profiles\":[]}\n";
        assertEquals(Optional.of(body), resources.answer(Message.PREFIX + "migrate-config", body));
    }

    @Test
    void pluginSettingsAreEmpty() {
        assertEquals(Optional.of("{}"), resources.answer("go.plugin-settings.get-configuration", null));
        assertTrue(resources.answer("go.plugin-settings.get-view", null).isEmpty());
    }

    @Test
    void noMessageIsBothAnsweredHereAndForwarded() {
        for (var message : Message.values()) {
            assertTrue(resources.answer(message.requestName, "{}").isEmpty(), message.requestName);
        }
    }

    @Test
    void thePluginDescriptorIsAsGocdsSchemaWants() throws Exception {
        var schema = GoPlugin.class.getResource("/plugin-descriptor.xsd");
        var validator = SchemaFactory.newInstance(XMLConstants.W3C_XML_SCHEMA_NS_URI).newSchema(schema).newValidator();
        validator.validate(new StreamSource(ResourcesTest.class.getResourceAsStream("/plugin.xml")));
    }

    @Test
    void theVersionIsThatOfTheProject() throws Exception {
        var cmake = Pattern.compile("project\\(ebbtide VERSION ([0-9.]+)")
                .matcher(Files.readString(Path.of("../../CMakeLists.txt")));
        assertTrue(cmake.find());
        var descriptor = new String(ResourcesTest.class.getResourceAsStream("/plugin.xml").readAllBytes());
        assertTrue(descriptor.contains("<version>" + cmake.group(1) + "</version>"), descriptor);
    }
}
