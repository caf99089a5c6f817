//! Tests of the values in the manifest for Kubernetes that have to agree with one another, with the image, and with the
//! manual. `tests/kubernetes.sh` validates the manifest against the schemas of Kubernetes, which know nothing of these.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use retortd::units;
use yaml_rust2::{Yaml, YamlLoader};

const MANIFEST: &str = "packaging/kubernetes/retortd.yaml";
const MIB: u64 = 1024 * 1024;
/// Time to exit after the drain, of which the last log lines may take half a second (chosen without tuning).
const RESERVE: Duration = Duration::from_secs(5);

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn objects() -> Vec<Yaml> {
    YamlLoader::load_from_str(&read(MANIFEST)).expect("YAML")
}

/// The one object of a kind.
fn object(kind: &str) -> Yaml {
    let mut of_kind = objects().into_iter().filter(|object| object["kind"].as_str() == Some(kind));
    let object = of_kind.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(of_kind.next().is_none(), "more than one {kind}");
    object
}

/// What follows a path of keys, all of which have to exist.
fn at<'a>(yaml: &'a Yaml, path: &str) -> &'a Yaml {
    let found = path.split('.').fold(yaml, |yaml, key| &yaml[key]);
    assert!(!found.is_badvalue(), "{path} is missing");
    found
}

fn text<'a>(yaml: &'a Yaml, path: &str) -> &'a str {
    at(yaml, path).as_str().unwrap_or_else(|| panic!("{path} is no text"))
}

fn number(yaml: &Yaml, path: &str) -> u64 {
    at(yaml, path).as_i64().and_then(|number| number.try_into().ok()).unwrap_or_else(|| panic!("{path} is no number"))
}

fn list<'a>(yaml: &'a Yaml, path: &str) -> &'a [Yaml] {
    at(yaml, path).as_vec().unwrap_or_else(|| panic!("{path} is no list"))
}

fn pod() -> Yaml {
    at(&object("Deployment"), "spec.template.spec").clone()
}

/// The only container.
fn container() -> Yaml {
    let pod = pod();
    let [container] = list(&pod, "containers") else { panic!("one container is expected") };
    container.clone()
}

fn arguments() -> Vec<String> {
    let container = container();
    list(&container, "args").iter().map(|argument| argument.as_str().expect("a text").to_string()).collect()
}

/// The value of an option that is given once.
fn option(name: &str) -> String {
    let arguments = arguments();
    let mut values = arguments.iter().filter_map(|argument| argument.strip_prefix(&format!("--{name}=")));
    let value = values.next().unwrap_or_else(|| panic!("--{name} is missing"));
    assert!(values.next().is_none(), "--{name} is given twice");
    value.to_string()
}

/// The address of each listener, by its protocol.
fn listeners() -> BTreeMap<String, String> {
    let arguments = arguments();
    let listeners = arguments.iter().filter_map(|argument| argument.strip_prefix("--listen="));
    let parts = listeners.map(|listener| listener.split_once('=').expect("an address, as a port is needed"));
    parts.map(|(protocol, address)| (protocol.to_string(), address.to_string())).collect()
}

/// The port of each listener, by its protocol.
fn ports() -> BTreeMap<String, u64> {
    let port = |address: String| address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    listeners().into_iter().map(|(protocol, address)| (protocol, port(address))).collect()
}

#[test]
fn daemon_accepts_the_arguments() {
    let output = Command::new(env!("CARGO_BIN_EXE_retortd")).arg("--check").args(arguments()).env_clear().output();
    let output = output.expect("run retortd");
    let (settings, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    for (protocol, address) in listeners() {
        assert!(settings.contains(&format!("{protocol}={address}")), "{protocol}: {settings}");
    }
}

#[test]
fn grace_period_is_longer_than_a_stop() {
    let time = |name| units::time(&option(name)).expect("a time");
    let stop = time("drain-delay") + time("drain-timeout") + RESERVE;
    let grace = Duration::from_secs(number(&pod(), "terminationGracePeriodSeconds"));
    assert!(grace >= stop, "killed after {grace:?}, while a stop takes up to {stop:?}");
}

/// An object that selects other pods, or none, has no effect, and no error either.
#[test]
fn selectors_select_the_pods() {
    let deployment = object("Deployment");
    let labels = at(&deployment, "spec.template.metadata.labels");
    assert!(labels.as_hash().is_some_and(|labels| !labels.is_empty()));
    let service = object("Service");
    let budget = object("PodDisruptionBudget");
    let policy = object("NetworkPolicy");
    let mut selectors = vec![
        at(&deployment, "spec.selector.matchLabels"),
        at(&service, "spec.selector"),
        at(&budget, "spec.selector.matchLabels"),
        at(&policy, "spec.podSelector.matchLabels"),
    ];
    let spread = list(&deployment, "spec.template.spec.topologySpreadConstraints");
    assert_eq!(spread.len(), 2, "nodes and zones");
    selectors.extend(spread.iter().map(|constraint| at(constraint, "labelSelector.matchLabels")));
    for selector in selectors {
        assert_eq!(selector, labels);
    }
}

#[test]
fn objects_are_in_the_namespace() {
    let namespace = object("Namespace");
    let name = text(&namespace, "metadata.name");
    let others: Vec<Yaml> =
        objects().into_iter().filter(|object| object["kind"].as_str() != Some("Namespace")).collect();
    assert_eq!(others.len(), 4);
    for object in others {
        assert_eq!(text(&object, "metadata.namespace"), name, "{}", text(&object, "kind"));
    }
}

#[test]
fn ports_are_those_of_the_listeners() {
    let container = container();
    let named = list(&container, "ports").iter();
    let named: BTreeMap<String, u64> =
        named.map(|port| (text(port, "name").to_string(), number(port, "containerPort"))).collect();
    assert_eq!(named, ports());
    assert!(named.values().all(|port| *port >= 1024), "a port below 1024 needs a capability or a sysctl: {named:?}");

    let service = object("Service");
    for port in list(&service, "spec.ports") {
        let target = text(port, "targetPort");
        assert_eq!(named.get(target), Some(&number(port, "port")), "{target}");
        assert_ne!(target, "metrics", "metrics are not for clients");
    }
    let policy = object("NetworkPolicy");
    let rules = list(&policy, "spec.ingress").iter();
    let admitted = rules.flat_map(|rule| list(rule, "ports")).map(|port| text(port, "port"));
    assert!(admitted.eq(named.keys().map(String::as_str)), "the rules are about other ports");

    let deployment = object("Deployment");
    let annotations = at(&deployment, "spec.template.metadata.annotations");
    assert_eq!(annotations["prometheus.io/port"].as_str(), Some(named["metrics"].to_string().as_str()));
    assert_eq!(annotations["prometheus.io/path"].as_str(), Some("/metrics"));
}

/// `tests/image.sh` sends these requests to a container with the arguments of the manifest.
#[test]
fn probes_ask_the_metrics_listener() {
    assert!(listeners()["metrics"].starts_with("0.0.0.0:"), "the kubelet connects from outside of the pod");
    let container = container();
    for (probe, path) in [("readinessProbe", "/readyz"), ("livenessProbe", "/livez")] {
        let probe = at(&container, probe);
        assert_eq!((text(probe, "httpGet.path"), text(probe, "httpGet.port")), (path, "metrics"));
        assert!(number(probe, "timeoutSeconds") <= number(probe, "periodSeconds"), "{path}");
    }
    let patience = |probe: &str| {
        let probe = at(&container, probe);
        number(probe, "periodSeconds") * number(probe, "failureThreshold")
    };
    assert!(patience("readinessProbe") < patience("livenessProbe"), "a pod should get no clients before it is killed");
}

/// The profile `restricted` of the Pod Security Standards, and what else is possible.
#[test]
fn pods_have_no_rights() {
    assert_eq!(
        object("Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"].as_str(),
        Some("restricted")
    );
    let (pod, container) = (pod(), container());
    let is = |yaml: &Yaml, path: &str| at(yaml, path).as_bool().unwrap_or_else(|| panic!("{path} is no truth value"));
    assert!(is(&pod, "securityContext.runAsNonRoot"));
    let user = format!("{}:{}", number(&pod, "securityContext.runAsUser"), number(&pod, "securityContext.runAsGroup"));
    assert!(read("packaging/image/Containerfile").contains(&format!("\nUSER {user}\n")), "the image has another user");
    assert!(number(&pod, "securityContext.runAsUser") > 0);
    assert_eq!(text(&pod, "securityContext.seccompProfile.type"), "RuntimeDefault");
    assert!(!is(&pod, "automountServiceAccountToken"));
    // the variable RETORTD_PORT=tcp://... is for the Service of this name
    assert!(!is(&pod, "enableServiceLinks"));
    assert!(!is(&container, "securityContext.allowPrivilegeEscalation"));
    assert!(is(&container, "securityContext.readOnlyRootFilesystem"));
    let [dropped] = list(&container, "securityContext.capabilities.drop") else { panic!("ALL is expected") };
    assert_eq!(dropped.as_str(), Some("ALL"));
}

#[test]
fn image_is_the_one_that_make_image_builds() {
    let script = read("packaging/build-image");
    let name = script.split("name=${2:-").nth(1).and_then(|rest| rest.split(":$version}").next()).expect("a name");
    assert_eq!(text(&container(), "image"), format!("{name}:{}", env!("CARGO_PKG_VERSION")));
}

/// `64Mi` or `64`.
fn bytes(quantity: &str) -> u64 {
    match quantity.strip_suffix("Mi") {
        Some(number) => number.parse::<u64>().expect("a number of MiB") * MIB,
        None => quantity.parse().expect("a number of bytes"),
    }
}

#[test]
fn memory_limit_is_above_what_connections_take() {
    let manual = read("packaging/man/retortd.8");
    let formula = "3 MiB + workers \\(mu 9 MiB +\n.B \\-\\-max\\-buffered\n+ connections \\(mu 64 KiB\n";
    assert!(manual.contains(formula), "the manual has another formula");
    let container = container();
    let limit = bytes(text(&container, "resources.limits.memory"));
    assert!(!arguments().iter().any(|argument| argument.starts_with("--max-buffered")), "the default is expected");
    let count = |name| units::count(&option(name)).expect("a number");
    let memory = 3 * MIB + count("workers") * 9 * MIB + limit / 4 + count("max-connections") * 64 * 1024;
    // the rest is for the program and for the buffers of sockets
    assert!(memory + limit / 4 <= limit, "{memory} of {limit} bytes");
    assert_eq!(text(&container, "resources.requests.memory"), text(&container, "resources.limits.memory"));
    let comment = format!(" is {} MiB.", memory.div_ceil(MIB));
    assert!(read(MANIFEST).contains(&comment), "the comment about memory: {comment}");
}
