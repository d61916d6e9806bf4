package ebbtide.bridge;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.spec.InvalidKeySpecException;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.Collection;
import java.util.List;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;

/** TLS from PEM texts: which authority is trusted (the system's, if none is given), and who we are. */
final class Tls {
    private static final String BEGIN = "-----BEGIN PRIVATE KEY-----";
    private static final String END = "-----END PRIVATE KEY-----";
    private static final char[] NO_PASSWORD = {};

    private Tls() {}

    static SSLContext context(Settings settings) throws Settings.Wrong {
        try {
            var context = SSLContext.getInstance("TLS");
            context.init(keys(settings), trust(settings), null);
            return context;
        } catch (GeneralSecurityException | IOException bad) {
            throw new Settings.Wrong("TLS can't be set up: " + bad.getMessage());
        }
    }

    private static TrustManager[] trust(Settings settings)
            throws GeneralSecurityException, IOException, Settings.Wrong {
        if (settings.ca() == null) {
            return null;
        }
        var store = emptyStore();
        int number = 0;
        for (var certificate : certificates("ca", settings.ca())) {
            store.setCertificateEntry("ca-" + number++, certificate);
        }
        var factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init(store);
        return factory.getTrustManagers();
    }

    private static KeyManager[] keys(Settings settings) throws GeneralSecurityException, IOException, Settings.Wrong {
        if (settings.certificate() == null) {
            return null;
        }
        var chain = certificates("certificate", settings.certificate()).toArray(Certificate[]::new);
        var store = emptyStore();
        store.setKeyEntry("bridge", key(settings.key()), NO_PASSWORD, chain);
        var factory = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        factory.init(store, NO_PASSWORD);
        return factory.getKeyManagers();
    }

    private static KeyStore emptyStore() throws GeneralSecurityException, IOException {
        var store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        return store;
    }

    private static Collection<? extends Certificate> certificates(String key, String pem) throws Settings.Wrong {
        var bytes = new ByteArrayInputStream(pem.getBytes(StandardCharsets.UTF_8));
        try {
            var read = CertificateFactory.getInstance("X.509").generateCertificates(bytes);
            if (!read.isEmpty()) {
                return read;
            }
        } catch (CertificateException bad) {
            // told below
        }
        throw new Settings.Wrong(key + " names a file without certificates; they must be in PEM form");
    }

    private static PrivateKey key(String pem) throws GeneralSecurityException, Settings.Wrong {
        int begin = pem.indexOf(BEGIN);
        int end = pem.indexOf(END);
        if (begin < 0 || end < begin) {
            throw new Settings.Wrong("key must name a PEM file with \"BEGIN PRIVATE KEY\" (PKCS#8, no password); "
                    + "openssl pkcs8 -topk8 -nocrypt -in old.pem -out key.pem makes one");
        }
        try {
            var encoded = Base64.getMimeDecoder().decode(pem.substring(begin + BEGIN.length(), end));
            return key(new PKCS8EncodedKeySpec(encoded));
        } catch (IllegalArgumentException bad) {
            throw new Settings.Wrong("key names a damaged PEM file");
        }
    }

    private static PrivateKey key(PKCS8EncodedKeySpec encoded) throws GeneralSecurityException, Settings.Wrong {
        for (var algorithm : List.of("RSA", "EC", "EdDSA")) {
            try {
                return KeyFactory.getInstance(algorithm).generatePrivate(encoded);
            } catch (InvalidKeySpecException other) {
                continue;
            }
        }
        throw new Settings.Wrong("key must be an RSA, EC or Ed25519 key");
    }
}
