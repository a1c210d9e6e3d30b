//! Names for runs and models that were given none: `adjective-noun-number`, at most 20 characters.

const ADJECTIVES: &[&str] = &[
    "able", "agile", "amber", "apt", "azure", "bold", "brave", "brief", "bright", "brisk", "calm", "candid", "clean",
    "clear", "clever", "cosmic", "crisp", "curious", "deft", "eager", "early", "fair", "fancy", "fast", "fine",
    "fleet", "fond", "frank", "free", "fresh", "gentle", "glad", "golden", "good", "grand", "happy", "hardy", "honest",
    "humble", "jolly", "keen", "kind", "late", "light", "lively", "loud", "lucid", "lucky", "mellow", "merry", "mild",
    "modest", "neat", "nimble", "noble", "open", "patient", "plain", "polite", "proud", "pure", "quick", "quiet",
    "rapid", "rare", "ready", "rich", "robust", "royal", "sane", "serene", "sharp", "shy", "silent", "simple", "sleek",
    "smart", "smooth", "sober", "solid", "spry", "stable", "steady", "still", "strong", "subtle", "sunny", "swift",
    "tidy", "true", "vivid", "warm", "wild", "wise", "witty", "young", "zesty",
];

const NOUNS: &[&str] = &[
    "acorn", "anchor", "badger", "beacon", "birch", "bison", "breeze", "brook", "canyon", "cedar", "cello", "cliff",
    "cloud", "comet", "coral", "crane", "creek", "delta", "dove", "dune", "eagle", "elk", "ember", "falcon", "fern",
    "finch", "fjord", "flint", "fox", "gecko", "glade", "grove", "gull", "harbor", "hare", "hawk", "heron", "hill",
    "ibis", "iris", "island", "ivy", "jay", "kelp", "kite", "lagoon", "lake", "lark", "lemur", "lily", "lotus", "lynx",
    "maple", "marten", "meadow", "mesa", "moose", "moss", "moth", "newt", "oak", "ocean", "orca", "otter", "owl",
    "panda", "pearl", "pine", "plover", "pond", "poplar", "puffin", "quail", "raven", "reef", "ridge", "river",
    "robin", "sail", "seal", "shore", "skylark", "sparrow", "spruce", "stone", "stork", "summit", "swan", "thrush",
    "tiger", "trout", "tulip", "vale", "walrus", "willow", "wolf", "wren", "yak", "zebra",
];

/// A new name.
pub(crate) fn random() -> String {
    let random = u128::from_str_radix(&kernel::id::random_hex(), 16).unwrap_or_default();
    let pick = |words: &[&'static str], from: u128| words.get((from % words.len().max(1) as u128) as usize).copied();
    let adjective = pick(ADJECTIVES, random >> 8 & 0xffff).unwrap_or("new");
    let noun = pick(NOUNS, random >> 32 & 0xffff).unwrap_or("run");
    format!("{adjective}-{noun}-{}", (random >> 96) % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_at_most_twenty_characters() {
        let longest = |words: &[&str]| words.iter().map(|word| word.len()).max().unwrap_or(0);
        assert!(longest(ADJECTIVES) + longest(NOUNS) + "--999".len() <= 20);
        assert_eq!(random().split('-').count(), 3);
    }
}
