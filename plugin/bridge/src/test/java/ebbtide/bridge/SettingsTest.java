package ebbtide.bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SettingsTest {
    @TempDir
    Path folder;

    private Settings read(Map<String, String> properties, Map<String, String> environment) throws Settings.Wrong {
        return new SettingsSource(properties::get, environment::get, folder).read();
    }

    private String wrong(Map<String, String> keys) {
        return assertThrows(Settings.Wrong.class, () -> Samples.settings(folder, keys).read()).getMessage();
    }

    @Test
    void withNothingSetTheServiceIsOnLoopback() throws Settings.Wrong {
        var settings = read(Map.of(), Map.of());
        assertEquals("http://127.0.0.1:8160", settings.url().toString());
        assertNull(settings.token());
        assertEquals(folder.resolve("ebbtide-completions"), settings.queueFile());
    }

    @Test
    void propertiesAreStrongerThanEnvironmentAndThatThanTheFile() throws Exception {
        Files.writeString(folder.resolve("ebbtide.properties"), "url=http://file:1\ntoken=of-file\nqueue_file=q");
        assertEquals("http://file:1", read(Map.of(), Map.of()).url().toString());
        var environment = Map.of("EBBTIDE_URL", "http://environment:1", "EBBTIDE_TOKEN", " ");
        assertEquals("http://environment:1", read(Map.of(), environment).url().toString());
        assertEquals("of-file", read(Map.of(), environment).token(), "blank is not set");
        assertEquals("http://property:1",
                read(Map.of("ebbtide.url", "http://property:1/"), environment).url().toString());
        assertEquals(folder.resolve("q"), read(Map.of(), Map.of()).queueFile());
    }

    @Test
    void theFileInConfigIsReadFirstAndAnotherMayBeNamed() throws Exception {
        Files.createDirectory(folder.resolve("config"));
        Files.writeString(folder.resolve("ebbtide.properties"), "url=http://folder:1");
        Files.writeString(folder.resolve("config/ebbtide.properties"), "url=http://config:1");
        Files.writeString(folder.resolve("other"), "url=http://other:1");
        assertEquals("http://config:1", read(Map.of(), Map.of()).url().toString());
        assertEquals("http://other:1", read(Map.of(), Map.of("EBBTIDE_SETTINGS", "other")).url().toString());
    }

    @Test
    void aTypingErrorInTheFileIsFound() throws IOException {
        Files.writeString(folder.resolve("ebbtide.properties"), "tokn=x");
        assertTrue(wrong(Map.of()).contains("tokn"));
    }

    @Test
    void theTokenMayBeInAFile() throws Exception {
        Files.writeString(folder.resolve("token"), "from-a-file\n");
        assertEquals("from-a-file", Samples.settings(folder, Map.of("token_file", "token")).read().token());
        assertTrue(wrong(Map.of("token_file", "token", "token", "x")).contains("token_file"));
        assertTrue(wrong(Map.of("token_file", "absent")).contains("absent"));
        Files.writeString(folder.resolve("token"), "two words");
        assertFalse(wrong(Map.of("token_file", "token")).contains("words"));
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "ebbtide:8160", "ftp://ebbtide", "http://", "http://user:hunter2@ebbtide", "http://ebbtide?x=1", "http://a b"
    })
    void aUrlThatCannotBeUsedIsRefusedWithAnExampleAndNotRepeated(String url) {
        var complaint = wrong(Map.of("url", url));
        assertTrue(complaint.startsWith("url must look like"), complaint);
        assertFalse(complaint.contains("hunter2"));
    }

    @Test
    void aChangedFileMakesOtherSettings() throws Exception {
        var source = Samples.settings(folder, Map.of("token_file", "token"));
        Files.writeString(folder.resolve("token"), "first");
        var before = source.read();
        assertEquals(before, source.read());
        Files.writeString(folder.resolve("token"), "second");
        assertNotEquals(before, source.read());
    }

    @Test
    void theyNeverShowASecret() throws Settings.Wrong {
        var settings = Samples.settings(folder, Map.of("token", "hunter2")).read();
        assertFalse(settings.toString().contains("hunter2"));
    }

    @Test
    void aTokenInTheClearIsNoticedBeyondLoopbackOnly() throws Settings.Wrong {
        assertTrue(Samples.settings(folder, Map.of("token", "x", "url", "http://ebbtide")).read().exposesToken());
        assertFalse(Samples.settings(folder, Map.of("token", "x", "url", "https://ebbtide")).read().exposesToken());
        assertFalse(Samples.settings(folder, Map.of("token", "x")).read().exposesToken());
        assertFalse(Samples.settings(folder, Map.of("url", "http://ebbtide")).read().exposesToken());
    }

    @Test
    void certificateAndKeyGoTogether() throws IOException {
        Files.writeString(folder.resolve("pem"), "x");
        assertTrue(wrong(Map.of("certificate", "pem")).contains("key"));
    }

    @Test
    void aFileThatHoldsNoCertificateIsNamedByItsKey() throws Exception {
        Files.writeString(folder.resolve("pem"), "no certificate");
        var settings = Samples.settings(folder, Map.of("url", "https://ebbtide", "ca", "pem")).read();
        var complaint = assertThrows(Settings.Wrong.class, () -> Tls.context(settings)).getMessage();
        assertTrue(complaint.startsWith("ca names"), complaint);
    }
}
