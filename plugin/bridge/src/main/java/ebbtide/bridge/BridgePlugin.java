package ebbtide.bridge;

import com.thoughtworks.go.plugin.api.GoApplicationAccessor;
import com.thoughtworks.go.plugin.api.GoPlugin;
import com.thoughtworks.go.plugin.api.GoPluginIdentifier;
import com.thoughtworks.go.plugin.api.annotation.Extension;
import com.thoughtworks.go.plugin.api.annotation.UnLoad;
import com.thoughtworks.go.plugin.api.exceptions.UnhandledRequestTypeException;
import com.thoughtworks.go.plugin.api.info.PluginContext;
import com.thoughtworks.go.plugin.api.request.GoPluginApiRequest;
import com.thoughtworks.go.plugin.api.response.DefaultGoPluginApiResponse;
import com.thoughtworks.go.plugin.api.response.GoPluginApiResponse;

/** What GoCD loads: the plugin ebbtide.elastic-agent. */
@Extension
public final class BridgePlugin implements GoPlugin {
    private final Resources resources = new Resources();
    private volatile Bridge bridge;

    public BridgePlugin() {}

    /** GoCD holds a lock over all plugins meanwhile: nothing may be waited for here. */
    @Override
    public synchronized void initializeGoApplicationAccessor(GoApplicationAccessor accessor) {
        if (bridge == null) {
            bridge = new Bridge(accessor, SettingsSource.ofThisProcess());
            bridge.start();
        }
    }

    @UnLoad
    public synchronized void unload(PluginContext context) {
        if (bridge != null) {
            bridge.close();
            bridge = null;
        }
    }

    @Override
    public GoPluginApiResponse handle(GoPluginApiRequest request) throws UnhandledRequestTypeException {
        var name = request.requestName();
        var own = resources.answer(name, request.requestBody());
        if (own.isPresent()) {
            return DefaultGoPluginApiResponse.success(own.get());
        }
        var message = Message.of(name).orElseThrow(() -> new UnhandledRequestTypeException(name));
        var running = bridge;
        if (running == null) {
            return DefaultGoPluginApiResponse.error("the plugin is not running");
        }
        var answer = running.handle(message, request.extensionVersion(), request.requestBody());
        return new DefaultGoPluginApiResponse(answer.code(), answer.body());
    }

    @Override
    public GoPluginIdentifier pluginIdentifier() {
        return Gocd.IDENTIFIER;
    }
}
