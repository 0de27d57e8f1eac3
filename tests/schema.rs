//! x
#[test]
fn dump() {
    for (name, text) in microservice_operator::api::schema::crd_yaml().unwrap() {
        std::fs::create_dir_all("crds").unwrap();
        std::fs::write(format!("crds/{name}"), text).unwrap();
    }
}
