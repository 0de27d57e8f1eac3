import java.util.Map;
import org.apache.kafka.common.errors.PolicyViolationException;
import org.apache.kafka.server.policy.CreateTopicPolicy;

/** A policy as platform teams load it into their brokers: no topic has more than three partitions. */
public class FewPartitions implements CreateTopicPolicy {
    @Override
    public void configure(Map<String, ?> settings) {}

    @Override
    public void validate(RequestMetadata asked) {
        if (asked.numPartitions() != null && asked.numPartitions() > 3) {
            throw new PolicyViolationException("the house allows three partitions");
        }
    }

    @Override
    public void close() {}
}
