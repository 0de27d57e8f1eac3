//! One service gets more pods: the others keep theirs, and so does it.

use crate::fixtures::{PATIENCE, Shop};
use crate::support::eventually;

#[tokio::test]
async fn scaling_one_service_leaves_the_others_alone() {
    let shop = Shop::open().await;
    let before = shop.pods().await;
    for (service, replicas) in [("user-service", 5), ("payment-service", 4)] {
        shop.kubectl.ok(&format!("scale msvc/{service} --replicas={replicas}")).await;
    }
    counts(&shop, 5, 4).await;
    let after = shop.pods().await;
    for (service, pods) in &before {
        for (pod, state) in pods {
            assert_eq!(after[service].get(pod), Some(state), "{pod} of {service} runs on");
        }
        let scaled = ["user-service", "payment-service"].contains(&service.as_str());
        assert!(scaled || after[service].len() == pods.len(), "{service} has no other pods");
    }

    for service in ["user-service", "payment-service"] {
        shop.kubectl.ok(&format!("scale msvc/{service} --replicas=3")).await;
    }
    counts(&shop, 3, 3).await;
}

async fn counts(shop: &Shop, users: usize, payments: usize) {
    eventually(PATIENCE, "as many pods as asked for are ready", || async {
        let ready = shop
            .kubectl
            .ok("get msvc user-service payment-service -o jsonpath={.items[*].status.ready}")
            .await;
        let wanted = format!("{users}/{users} {payments}/{payments}");
        if ready == wanted { Ok(()) } else { Err(ready) }
    })
    .await;
    shop.wait_ready().await;
}
