//! Rules for the pages that lead people: what they name exists, and nobody needs a terminal.

use super::Finding;
use super::guide::{self, Guide, PAGES, Step};
use super::tree::Tree;

/// The page that is for someone who has never seen a terminal.
const WITHOUT_TERMINAL: &str = PAGES[0];
/// The steps from nothing to the first reply.
const STEPS: [&str; 9] =
    ["discord", "model", "download", "unpack", "images", "settings", "start", "look", "talk"];
/// What people who have no terminal cannot do.
const COMMANDS: [&str; 7] = ["ssh", "sudo", "chmod", "chown", "mkdir", "curl", "cargo"];

/// The settings that the archive holds for a person to fill in.
const SETTINGS: &str = "deploy/nas/env";
const COMPOSE: &str = "compose.yaml";
/// The profile that the archive holds.
const HOME: &str = "profiles: [home]";
/// What the archive holds besides the Compose file and the settings.
const FOLDERS: [&str; 4] = ["config", "data", "logs", "backups"];

/// Checks both pages and that the readmes lead to them.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    // Without the files that it speaks of, a page could not be held to anything.
    let mut findings = Vec::new();
    let texts = [SETTINGS, ".env.example", COMPOSE].map(|path| {
        let text = tree.text(path);
        if text.is_none() {
            findings.push(Finding::of_file(path, "is missing"));
        }
        text
    });
    if let [Some(settings), Some(example), Some(compose)] = texts {
        for path in PAGES {
            findings.extend(page(tree, path, [settings, example, compose]));
        }
    }
    if let Some(page) = tree.text(WITHOUT_TERMINAL) {
        findings.extend(commands(WITHOUT_TERMINAL, page));
    }
    findings.extend(readmes(tree));
    findings
}

/// One page, held to the files it speaks of.
fn page(tree: &Tree, path: &str, files: [&str; 3]) -> Vec<Finding> {
    let Some(page) = tree.text(path) else {
        return vec![Finding::of_file(path, "is missing")];
    };
    let mut findings = steps(path, page, files[0], files[2]);
    for (line, name) in guide::quoted(page) {
        if !exists(name, tree, &files) {
            findings.push(Finding::at_line(path, line, format!("`{name}` is nowhere to be found")));
        }
    }
    findings
}

/// Every step is there, in order, and names exactly what the archive holds.
fn steps(path: &str, page: &str, settings: &str, compose: &str) -> Vec<Finding> {
    let guide = Guide::parse(page);
    let names: Vec<&str> = guide.steps.iter().map(|step| step.name.as_str()).collect();
    let mut findings = Vec::new();
    if names != STEPS {
        findings.push(Finding::of_file(path, format!("has the steps {names:?}, not {STEPS:?}")));
    }
    let by_hand: Vec<&str> =
        guide.steps.iter().filter(|step| step.by_hand).map(|step| step.name.as_str()).collect();
    if by_hand != ["discord", "model"] {
        findings.push(Finding::of_file(path, format!("marks {by_hand:?} as done by hand")));
    }
    let archive = [COMPOSE, ".env"].into_iter().chain(FOLDERS).collect();
    let to_fill_in = settings.lines().filter_map(|line| line.strip_suffix('=')).collect();
    let expected: [(&str, Vec<&str>); 3] =
        [("unpack", archive), ("settings", to_fill_in), ("start", containers(compose))];
    for (step, mut wanted) in expected {
        let mut found = guide.step(step).map(Step::heads).unwrap_or_default();
        found.sort_unstable();
        wanted.sort_unstable();
        if found != wanted {
            findings.push(Finding::of_file(
                path,
                format!("step {step} names {found:?}, not {wanted:?}"),
            ));
        }
    }
    findings
}

/// The names of the containers that people see: those of the profile that the archive holds.
fn containers(compose: &str) -> Vec<&str> {
    let mut ours = false;
    let mut names = Vec::new();
    for line in compose.lines().map(str::trim) {
        if line.starts_with("profiles:") {
            ours = line == HOME;
        }
        if let Some(name) = line.strip_prefix("container_name: ").filter(|_| ours) {
            names.push(name);
        }
    }
    names
}

/// Whether something in backticks is really there.
fn exists(name: &str, tree: &Tree, files: &[&str]) -> bool {
    let in_files = |part: &str| files.iter().any(|text| text.contains(part));
    let in_code = |part: &str| {
        let ours = |path: &str| path.starts_with("crates/") && !path.contains("/tests/");
        tree.with_ending(".rs").any(|(path, text)| ours(path) && text.contains(part))
    };
    match name {
        // The folder of the archive, its files, other people's folders, and single signs.
        "kotonoha" | "docker" | "Container" | COMPOSE | ".env" => true,
        _ if name.len() == 1 || name == "./" => true,
        _ if name.starts_with("/mnt/") || name.starts_with("/share/") => true,
        _ if name.contains(":8080/") => {
            let page = name.rsplit_once('/').map_or("", |(_, page)| page);
            in_files(":8080\"]") && in_code(&format!("\"/{page}\""))
        }
        ":8080" => in_files(":8080\"]"),
        // Addresses of others: the settings' own document names them, or their port.
        _ if name.starts_with("https://") => in_files(name),
        _ if name.starts_with("http://") => {
            name.rsplit_once(':').is_some_and(|(_, end)| in_files(&format!(":{end}")))
        }
        _ if name.starts_with('/') => in_code(&format!("\"{name}\"")),
        _ if [".zip", ".tar"].iter().any(|end| name.ends_with(end)) => {
            let built = name.replace("amd64", "$ARCHITECTURE").replace("arm64", "$ARCHITECTURE");
            tree.with_ending(".yml").any(|(_, text)| text.contains(&built))
        }
        _ if is_setting(name) => in_files(&format!("{name}=")),
        _ if name.starts_with("kotonoha-") => in_files(&format!("container_name: {name}\n")),
        _ => match name.strip_prefix("kotonoha/") {
            Some(image) => in_files(&format!("/{image}:")),
            None => {
                is_place(name, &in_files, &in_code)
                    || in_code(name.rsplit('"').nth(1).unwrap_or(name))
            }
        },
    }
}

fn is_setting(name: &str) -> bool {
    name.contains('_') && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

/// A folder that the Compose file mounts, a log of one of its services, or a file that a service
/// is told of or brings along.
fn is_place(name: &str, in_files: &dyn Fn(&str) -> bool, in_code: &dyn Fn(&str) -> bool) -> bool {
    let mounted =
        |place: &str| in_files(&format!("./{place}:")) || in_files(&format!("./{place}/"));
    let Some((folder, file)) = name.rsplit_once('/').filter(|(_, file)| file.contains('.')) else {
        return mounted(name);
    };
    let top = folder.split('/').next().unwrap_or(folder);
    let known = match file.strip_suffix(".log") {
        Some("kotonoha") => true,
        Some(service) => in_files(&format!("\n  {service}:")),
        None => in_files(&format!("/{file}\n")) || in_code(&format!("\"{file}\"")),
    };
    mounted(top) && known
}

/// Words that only work in a terminal.
fn commands(path: &str, page: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(page.lines()) {
        let lower = line.to_lowercase();
        let words = lower.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
        for word in words.filter(|word| COMMANDS.contains(word) || word.starts_with("docker-")) {
            findings.push(Finding::at_line(path, number, format!("`{word}` needs a terminal")));
        }
        let verbs = lower.split("docker ").skip(1);
        if verbs
            .into_iter()
            .any(|rest| rest.starts_with(|letter: char| letter.is_ascii_lowercase()))
        {
            findings.push(Finding::at_line(path, number, "a docker command needs a terminal"));
        }
    }
    findings
}

/// The Japanese readme leads to the page before it speaks of cargo; the English one leads there too.
fn readmes(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(text) = tree.text("README.ja.md") {
        let before = text.split("cargo ").next().unwrap_or(text);
        if !before.contains(&format!("]({WITHOUT_TERMINAL})")) {
            let advice = format!("lead to {WITHOUT_TERMINAL} before the first cargo command");
            findings.push(Finding::of_file("README.ja.md", advice));
        }
    }
    if !tree.text("README.md").is_some_and(|text| text.contains(&format!("]({})", PAGES[1]))) {
        findings.push(Finding::of_file("README.md", format!("lead to {}", PAGES[1])));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::guide::PAGES;
    use super::{COMPOSE, SETTINGS, check, commands};
    use crate::tidy::tree::Tree;

    const ENV: &str = "# 1.\nDISCORD_TOKEN=\nMODEL_NAME=\nKOTONOHA_PORT=8080\n";
    const FILE: &str = "services:\n  prepare: &prepare\n    profiles: [home]\n    image: k/prepare:1\n    \
        container_name: kotonoha-prepare\n    volumes:\n      - ./config:/x\n      - ./data:/x\n      \
        - ./logs:/x\n      - ./backups:/x\n  demo-prepare:\n    <<: *prepare\n    profiles: [demo]\n    \
        container_name: kotonoha-demo-prepare\n    ports: [\"8080:8080\"]\n";
    const CODE: &str = "//! C.\nconst A: &str = \"/health\";\n";
    const PAGE: &str = "<!-- click discord -->\n<!-- click model -->\n<!-- step download -->\n\
        <!-- step unpack -->\n| `compose.yaml` | |\n| `.env` | |\n| `config` | |\n| `data` | |\n| `logs` | |\n\
        | `backups` | |\n<!-- step images -->\n- `kotonoha/prepare`\n<!-- step settings -->\n\
        | `DISCORD_TOKEN` | |\n| `MODEL_NAME` | |\n<!-- step start -->\n| `kotonoha-prepare` | |\n\
        <!-- step look -->\n`http://nas:8080/health` `KOTONOHA_PORT` `logs/kotonoha.log`\n<!-- step talk -->\n";

    fn found(page: &str, compose: &str) -> Vec<String> {
        let tree = Tree::of(&[
            (PAGES[0], page),
            (PAGES[1], page),
            (SETTINGS, ENV),
            (COMPOSE, compose),
            (".env.example", ""),
            ("crates/chassis/src/routes.rs", CODE),
            ("README.ja.md", "[NAS](docs/deploy-nas.ja.md)\n```sh\ncargo xtask demo\n```\n"),
            ("README.md", "[NAS](docs/deploy-nas.md)\n"),
        ]);
        check(&tree).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_page_that_names_only_what_exists_has_nothing_to_mend() {
        assert_eq!(found(PAGE, FILE), [""; 0]);
    }

    #[test]
    fn everything_a_page_names_must_exist() {
        for (here, wrong) in [
            ("`KOTONOHA_PORT`", "`KOTONOHA_DOOR`"),
            ("/health`", "/well`"),
            (":8080/", ":8081/"),
            ("logs/kotonoha.log", "logs/other.log"),
            ("kotonoha/prepare", "kotonoha/ready"),
        ] {
            let findings = found(&PAGE.replace(here, wrong), FILE);
            assert!(findings.iter().any(|it| it.contains("nowhere")), "{wrong}: {findings:?}");
        }
    }

    #[test]
    fn a_file_that_pages_speak_of_must_be_there() {
        let tree = Tree::of(&[(PAGES[0], PAGE), (PAGES[1], PAGE), (COMPOSE, FILE)]);
        let findings: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
        assert!(findings.iter().any(|it| it.contains(SETTINGS)), "{findings:?}");
    }

    #[test]
    fn a_step_that_forgets_a_setting_a_container_or_a_file_is_found() {
        for gone in ["| `MODEL_NAME` | |\n", "| `kotonoha-prepare` | |\n", "| `backups` | |\n"] {
            let findings = found(&PAGE.replace(gone, ""), FILE);
            assert!(findings.iter().any(|it| it.contains("step ")), "{gone}: {findings:?}");
        }
        let findings = found(&PAGE.replace("<!-- step look -->\n", ""), FILE);
        assert!(findings.iter().any(|it| it.contains("has the steps")), "{findings:?}");
    }

    #[test]
    fn words_of_a_terminal_are_found_and_the_docker_folder_is_not() {
        assert_eq!(
            commands("p", "`docker` フォルダーの中、docker フォルダー、Docker、refresh\n"),
            []
        );
        for bad in
            ["ssh nas", "`sudo reboot`", "docker compose up", "docker-compose up", "cargo xtask"]
        {
            assert_eq!(commands("p", bad).len(), 1, "{bad}");
        }
    }
}
