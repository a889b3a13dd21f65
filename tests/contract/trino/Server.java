import io.trino.plugin.memory.MemoryPlugin;
import io.trino.server.testing.TestingTrinoServer;
import java.io.PrintStream;
import java.util.Map;

/** A whole Trino server on a free port, with tables in memory; ends when its standard input ends. */
public class Server {
    public static void main(String[] arguments) throws Exception {
        PrintStream answer = System.out; // Trino takes System.out for its log
        try (TestingTrinoServer server = TestingTrinoServer.builder().build()) {
            server.installPlugin(new MemoryPlugin());
            server.createCatalog("memory", "memory", Map.of());
            answer.println(server.getAddress());
            answer.flush();
            while (System.in.read() >= 0) {
            }
        }
        System.exit(0);
    }
}
