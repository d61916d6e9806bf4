package ebbtide.bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

/** The bridge between a model of GoCD and a service that does as the test says. */
@Execution(ExecutionMode.CONCURRENT)
class BridgeTest {
    @TempDir
    Path folder;

    private final FakeGocd gocd = new FakeGocd();
    private ScriptedService service;
    private Bridge bridge;

    @BeforeEach
    void setUp() throws Exception {
        service = new ScriptedService();
        Files.writeString(folder.resolve("token"), "t0ken");
    }

    @AfterEach
    void tearDown() {
        bridge.close();
        service.close();
    }

    private void start(String url) {
        bridge = new Bridge(gocd, Samples.settings(folder, Map.of("url", url, "token_file", "token")));
        bridge.start();
    }

    private void connect() throws InterruptedException {
        start(service.url());
        Wait.until("the processor channel", () -> service.attachments.get() == 1);
        service.ask("first", "go.processor.elastic-agents.list-agents", "");
        Wait.until("the bridge's notice of it", () -> service.answers.remove("first") != null);
    }

    private Forwarder.Answer send(Message message) {
        return bridge.handle(message, "5.0", Samples.body(message));
    }

    @Test
    void messagesPassAsTheyAreWithTokenAndServerId() throws Exception {
        connect();
        service.say(Message.SHOULD_ASSIGN_WORK, 200, "true\n");
        assertEquals("true", send(Message.SHOULD_ASSIGN_WORK).body());
        var heard = service.heard.poll(5, TimeUnit.SECONDS);
        assertEquals(Message.SHOULD_ASSIGN_WORK.requestName, heard.name());
        assertEquals(Samples.body(Message.SHOULD_ASSIGN_WORK), heard.body());
        assertEquals("Bearer t0ken", heard.authorization());
        assertEquals(FakeGocd.ID, heard.gocd());
    }

    @Test
    void theFirstMessageMayComeBeforeTheSettingsAreRead() {
        start(service.url());
        assertEquals(200, send(Message.CREATE_AGENT).code());
    }

    @Test
    void answersPassAsTheyAre() throws Exception {
        connect();
        var errors = "[{\"message\":\"must be a number\",\"key\":\"Cpus\"}]";
        service.say(Message.VALIDATE_ELASTIC_AGENT_PROFILE, 200, errors);
        assertEquals(errors, send(Message.VALIDATE_ELASTIC_AGENT_PROFILE).body());
        var view = "{\"view\":\"<p>\u00fc {{ng}}</p>\"}";
        service.say(Message.AGENT_STATUS_REPORT, 200, view);
        assertEquals(view, send(Message.AGENT_STATUS_REPORT).body());
        assertEquals(200, send(Message.CREATE_AGENT).code());
    }

    @Test
    void aRefusalIsToldAndIsNoTroubleOfTheService() throws Exception {
        connect();
        service.say(Message.CREATE_AGENT, 400, "{\"message\":\"job_id must be an integer\"}");
        var answer = send(Message.CREATE_AGENT);
        assertEquals(500, answer.code());
        assertTrue(answer.body().contains("job_id must be an integer"), answer.body());
        assertTrue(gocd.console("unit").contains("job_id must be an integer"), gocd.console("unit"));
        assertFalse(gocd.health().contains("error"));
    }

    @Test
    void aWrongTokenIsNamed() throws Exception {
        connect();
        service.say(Message.CLUSTER_STATUS_REPORT, 401, "");
        assertTrue(send(Message.CLUSTER_STATUS_REPORT).body().contains("refuses the token"));
    }

    @Test
    void anErrorViewIsSafeInGocdsPage() throws Exception {
        connect();
        service.say(Message.PLUGIN_STATUS_REPORT, 503, "{\"message\":\"<script>{{{alert(1)}}}</script>\"}");
        var view = Json.text(Json.parse(send(Message.PLUGIN_STATUS_REPORT).body()), "view");
        assertFalse(view.contains("<script") || view.contains("{{") || view.contains("}}"), view);
        assertTrue(view.startsWith("<div ng-non-bindable>"), view);
    }

    @Test
    void completionsArriveAfterTheServiceIsBack() throws Exception {
        service.say(Message.JOB_COMPLETION, 503, "");
        connect();
        assertEquals(200, send(Message.JOB_COMPLETION).code());
        service.heard.poll(5, TimeUnit.SECONDS);
        service.say(Message.JOB_COMPLETION, 200, "");
        service.endStream();
        Wait.until("the next connection", () -> service.attachments.get() == 2);
        var again = service.heard.poll(5, TimeUnit.SECONDS);
        assertEquals("ea-1", Json.text(Json.parse(again.body()), "elastic_agent_id"));
        Wait.until("an empty file", () -> folder.resolve("ebbtide-completions").toFile().length() == 0);
    }

    @Test
    void requestsOfTheServiceReachGocdAndAreAnswered() throws Exception {
        connect();
        gocd.register("ea-1");
        service.ask("a-1", "go.processor.elastic-agents.list-agents", "");
        service.ask("a-2", "go.processor.elastic-agents.disable-agents", "[{\"agent_id\":\"ea-1\"}]");
        service.ask("a-3", "go.processor.elastic-agents.delete-agents", "[{\"agent_id\":\"ea-1\"}]");
        Wait.until("three answers", () -> service.answers.size() == 3);
        var first = (Map<?, ?>) Json.parse(service.answers.get("a-1"));
        assertEquals("200", first.get("code").toString());
        assertTrue(Json.text(first, "body").contains("\"agent_id\":\"ea-1\""), Json.text(first, "body"));
        assertFalse(gocd.knows("ea-1"));
    }

    @Test
    void whatGocdThrowsIsAnAnswerAndTheChannelLivesOn() throws Exception {
        connect();
        gocd.breakWith(new IllegalStateException("multiple agents with the same elastic agent id"));
        service.ask("b-1", "go.processor.elastic-agents.delete-agents", "[]");
        Wait.until("the answer", () -> service.answers.containsKey("b-1"));
        assertTrue(service.answers.get("b-1").contains("\"code\":500"));
        gocd.breakWith(new NoClassDefFoundError("of GoCD"));
        service.ask("b-2", "go.processor.elastic-agents.delete-agents", "[]");
        Wait.until("the answer", () -> service.answers.containsKey("b-2"));
        assertTrue(service.answers.get("b-2").contains("\"code\":500"));
        gocd.breakWith(null);
        service.ask("b-3", "go.processor.elastic-agents.list-agents", "");
        Wait.until("the next answer", () -> service.answers.containsKey("b-3"));
        assertTrue(service.answers.get("b-3").contains("\"code\":200"));
        assertEquals(1, service.attachments.get());
    }

    @Test
    void onlyWhatElasticAgentsNeedIsPassedOn() throws Exception {
        connect();
        service.ask("c-1", "go.processor.authorization.do-invalidate-cache", "");
        Wait.until("the answer", () -> service.answers.containsKey("c-1"));
        assertTrue(service.answers.get("c-1").contains("\"code\":403"));
        assertEquals(0, gocd.calls("go.processor.authorization.do-invalidate-cache"));
    }

    @Test
    void theServicesHealthListIsKeptWhileItIsAway() throws Exception {
        connect();
        service.ask("d-1", Gocd.ADD_MESSAGES, "[{\"type\":\"warning\",\"message\":\"limit reached\"}]");
        Wait.until("the list", () -> gocd.health().contains("limit reached"));
        service.close();
        Wait.until("our error beside it", () -> gocd.health().contains("Ebbtide can't be reached"));
        assertTrue(gocd.health().contains("limit reached"), gocd.health());
    }

    @Test
    void garbageInTheStreamMakesANewConnection() throws Exception {
        connect();
        service.send("no JSON");
        Wait.until("the next connection", () -> service.attachments.get() == 2);
        service.ask("e/../1", "go.processor.elastic-agents.list-agents", "");
        Wait.until("the one after", () -> service.attachments.get() == 3);
        assertTrue(service.answers.isEmpty());
    }

    @Test
    void aMendedSettingNeedsNoRestart() throws Exception {
        var file = folder.resolve("ebbtide.properties");
        Files.writeString(file, "url=nonsense");
        bridge = new Bridge(gocd, Samples.settings(folder, Map.of()));
        bridge.start();
        Wait.until("the error", () -> gocd.health().contains("url must look like"));
        assertEquals("false", send(Message.SHOULD_ASSIGN_WORK).body());
        assertTrue(send(Message.VALIDATE_CLUSTER_PROFILE).body().contains("url must look like"));
        Files.writeString(file, "url=" + service.url());
        Wait.until("the connection", () -> service.attachments.get() == 1);
        Wait.until("no error", () -> gocd.health().equals("[]"));
        service.say(Message.VALIDATE_CLUSTER_PROFILE, 200, "[]");
        assertEquals("[]", send(Message.VALIDATE_CLUSTER_PROFILE).body());
    }

    @Test
    void aCompletionIsInItsFileEvenWhileASettingIsWrong() throws Exception {
        start("nonsense");
        assertEquals(200, send(Message.JOB_COMPLETION).code());
        Wait.until("the file", () -> folder.resolve("ebbtide-completions").toFile().length() > 0);
    }

    @Test
    void anotherAddressIsTakenAndTheOldConnectionLeft() throws Exception {
        var file = folder.resolve("ebbtide.properties");
        Files.writeString(file, "url=" + service.url());
        bridge = new Bridge(gocd, Samples.settings(folder, Map.of()));
        bridge.start();
        Wait.until("the first connection", () -> service.attachments.get() == 1);
        try (var other = new ScriptedService()) {
            Files.writeString(file, "url=" + other.url());
            Wait.until("the other connection", () -> other.attachments.get() == 1);
            send(Message.SERVER_PING);
            assertEquals(Message.SERVER_PING.requestName, other.heard.poll(5, TimeUnit.SECONDS).name());
        }
        assertNull(service.heard.poll());
    }

    @Test
    void theBreakerClosesWhenTheServiceIsHeardOfAgain() throws Exception {
        connect();
        service.say(Message.SHOULD_ASSIGN_WORK, 500, "");
        send(Message.SHOULD_ASSIGN_WORK);
        send(Message.SHOULD_ASSIGN_WORK);
        service.say(Message.SHOULD_ASSIGN_WORK, 200, "true");
        assertEquals("false", send(Message.SHOULD_ASSIGN_WORK).body());
        Wait.until("true again, by a probe", () -> send(Message.SHOULD_ASSIGN_WORK).body().equals("true"));
    }
}
