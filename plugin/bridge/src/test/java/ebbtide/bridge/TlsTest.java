package ebbtide.bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsParameters;
import com.sun.net.httpserver.HttpsServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** https to a service whose certificate no public authority knows, with and without a certificate of our own. */
class TlsTest {
    private static final String PASSWORD = "changeit";

    @TempDir
    Path folder;

    private final FakeGocd gocd = new FakeGocd();
    private ScriptedService service;
    private Bridge bridge;

    @BeforeEach
    void setUp() throws Exception {
        export("server", keyStore("server", "EC"));
    }

    @AfterEach
    void tearDown() {
        bridge.close();
        service.close();
    }

    private KeyStore keyStore(String name, String algorithm) throws Exception {
        var file = folder.resolve(name + ".p12");
        var keytool = Path.of(System.getProperty("java.home"), "bin", "keytool").toString();
        var made = new ProcessBuilder(List.of(keytool, "-genkeypair", "-alias", name, "-keyalg", algorithm, "-dname",
                "CN=" + name, "-ext", "san=ip:127.0.0.1", "-ext", "bc=ca:true", "-validity", "2", "-storetype",
                "PKCS12", "-keystore", file.toString(), "-storepass", PASSWORD)).inheritIO().start();
        assertTrue(made.waitFor(60, TimeUnit.SECONDS) && made.exitValue() == 0);
        return KeyStore.getInstance(file.toFile(), PASSWORD.toCharArray());
    }

    /** name.pem and name.key, as the settings want them. */
    private void export(String name, KeyStore store) throws Exception {
        Files.writeString(folder.resolve(name + ".pem"), pem("CERTIFICATE", store.getCertificate(name).getEncoded()));
        Files.writeString(folder.resolve(name + ".key"),
                pem("PRIVATE KEY", store.getKey(name, PASSWORD.toCharArray()).getEncoded()));
    }

    private static String pem(String kind, byte[] bytes) {
        return "-----BEGIN " + kind + "-----\n" + Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(bytes)
                + "\n-----END " + kind + "-----\n";
    }

    /** @param client whose certificate is demanded; null: none is */
    private void serve(KeyStore client) throws Exception {
        var server = KeyStore.getInstance(folder.resolve("server.p12").toFile(), PASSWORD.toCharArray());
        var keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(server, PASSWORD.toCharArray());
        var context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), client == null ? null : trust(client), null);
        var https = HttpsServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        https.setHttpsConfigurator(new HttpsConfigurator(context) {
            @Override
            public void configure(HttpsParameters parameters) {
                var wanted = context.getDefaultSSLParameters();
                wanted.setNeedClientAuth(client != null);
                parameters.setSSLParameters(wanted);
            }
        });
        service = new ScriptedService(https);
        service.say(Message.VALIDATE_CLUSTER_PROFILE, 200, "[]");
    }

    // In the store it goes with its key, and is no anchor of trust by itself.
    private static TrustManager[] trust(KeyStore client) throws Exception {
        var anchors = KeyStore.getInstance("PKCS12");
        anchors.load(null, null);
        anchors.setCertificateEntry("client", client.getCertificate("client"));
        var factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init(anchors);
        return factory.getTrustManagers();
    }

    private String validated(Map<String, String> settings) throws InterruptedException {
        var all = new HashMap<>(settings);
        all.put("url", service.url());
        bridge = new Bridge(gocd, Samples.settings(folder, all));
        bridge.start();
        Wait.until("the settings", () -> gocd.calls(Gocd.ADD_MESSAGES) > 0);
        var message = Message.VALIDATE_CLUSTER_PROFILE;
        return bridge.handle(message, "5.0", Samples.body(message)).body();
    }

    @Test
    void theAuthorityOfTheCaFileIsTrusted() throws Exception {
        serve(null);
        assertEquals("[]", validated(Map.of("ca", "server.pem")));
        Wait.until("the processor channel", () -> service.attachments.get() == 1);
    }

    @Test
    void anUnknownAuthorityIsNotAndTheMessageSaysWhatToSet() throws Exception {
        serve(null);
        var answer = validated(Map.of());
        assertTrue(answer.contains("no TLS connection") && answer.contains("check ca"), answer);
    }

    @ParameterizedTest
    @ValueSource(strings = {"EC", "RSA"})
    void aServiceThatDemandsACertificateGetsOurs(String algorithm) throws Exception {
        var client = keyStore("client", algorithm);
        export("client", client);
        serve(client);
        assertEquals("[]", validated(Map.of("ca", "server.pem", "certificate", "client.pem", "key", "client.key")));
    }

    @Test
    void withoutOneItIsNotReached() throws Exception {
        serve(keyStore("client", "EC"));
        var answer = validated(Map.of("ca", "server.pem"));
        assertTrue(answer.contains("be reached"), answer);
    }

    @Test
    void aKeyInAnotherFormIsRefusedWithTheCommandThatConvertsIt() throws Exception {
        serve(null);
        Files.writeString(folder.resolve("old.key"), "-----BEGIN RSA PRIVATE KEY-----\nx\n-----END RSA PRIVATE KEY-----");
        var answer = validated(Map.of("ca", "server.pem", "certificate", "server.pem", "key", "old.key"));
        assertTrue(answer.contains("openssl pkcs8"), answer);
    }
}
