//! The phrases and words of the demo persona, in Japanese and English.

/// One language's phrases. `{word}` stands for the drawn word, `{n}` for a number.
pub(super) trait Phrases {
    const JAPANESE: bool;
    /// First halves, what joins them, second halves.
    const WORD: (&'static [&'static str], &'static str, &'static [&'static str]);
    /// Between two sentences.
    const GAP: &'static str;
    const CLOSINGS: &'static [&'static str];
    const REMEMBERED: &'static [&'static str];
    const FORGOTTEN: &'static [&'static str];
    const STORY_START: &'static str;
    const STORY_HEADING: &'static str;
    const STORY_CHAPTERS: usize;
    const STORY_SENTENCES: usize;
    const STORY: &'static [&'static str];
    const STORY_NOTES: &'static [&'static str];

    fn asks_for_word(text: &str) -> bool;
    fn wants_long(text: &str) -> bool;
    fn openings(text: &str) -> &'static [&'static str];
}

/// Answers in Japanese.
pub(super) struct Japanese;

impl Phrases for Japanese {
    const JAPANESE: bool = true;
    const WORD: (&'static [&'static str], &'static str, &'static [&'static str]) = (
        &[
            "琥珀",
            "朝霧",
            "夕凪",
            "若葉",
            "木漏れ日",
            "月影",
            "星屑",
            "白樺",
            "紅葉",
            "初雪",
            "風鈴",
            "小春",
            "早春",
            "真珠",
            "瑠璃",
            "水色",
            "茜色",
            "藤色",
            "檸檬",
            "蜂蜜",
            "胡桃",
            "山桜",
            "鈴蘭",
            "露草",
            "竜胆",
            "銀河",
            "潮騒",
            "雨上がり",
            "陽だまり",
            "三日月",
            "綿雲",
            "野いちご",
        ],
        "の",
        &[
            "灯台",
            "小舟",
            "手紙",
            "庭",
            "図書館",
            "坂道",
            "橋",
            "汽車",
            "時計",
            "風車",
            "階段",
            "窓辺",
            "湖",
            "森",
            "丘",
            "港",
            "茶室",
            "絵本",
            "子守唄",
            "提灯",
            "帆",
            "羅針盤",
            "硝子",
            "毛布",
            "合唱",
            "散歩",
            "約束",
            "切符",
            "扉",
            "泉",
            "渡り鳥",
            "ひつじ雲",
        ],
    );
    const GAP: &'static str = "\n\n";
    const CLOSINGS: &'static [&'static str] = &[
        "今の合言葉は「{word}」です。よければ、覚えていてくださいね。",
        "そうだ、合言葉は「{word}」にしましょう。あとで聞いてみてください。",
        "ひとつ言葉を置いておきますね。合言葉は「{word}」です。",
    ];
    const REMEMBERED: &'static [&'static str] = &[
        "はい、覚えていますよ。合言葉は「{word}」でした。",
        "合言葉は「{word}」です。ちゃんと覚えていますから、ご安心ください。",
    ];
    const FORGOTTEN: &'static [&'static str] = &[
        "ごめんなさい、その言葉は私の手元にありません。これまでの会話には見当たらないようです。",
        "正直に言うと、わかりません。いただいた会話の中に、まだその言葉がないのです。",
    ];
    const STORY_START: &str = "では、ゆっくりとお話ししますね。**灯りの番人の物語**です。";
    const STORY_HEADING: &str = "第{n}章";
    const STORY_CHAPTERS: usize = 6;
    const STORY_SENTENCES: usize = 24;
    const STORY: &'static [&'static str] = &[
        "海辺の小さな町に、夜ごと灯りをともす番人がおりました。",
        "番人は急ぐことがなく、ひとつずつ、ていねいに芯を整えていきます。",
        "風の強い晩には、窓を少しだけ閉めて、温かいお茶を淹れました。",
        "子どもたちは帰り道に手を振り、番人もまた静かに手を振り返します。",
        "遠くの船は、その光を数えながら、港までの道のりを思い出すのでした。",
        "ある日、旅人がやって来て、この灯りはいつからあるのかと尋ねました。",
        "番人は少し考えて、「覚えている人がいるかぎり、ずっとです」と答えました。",
        "雨が上がると石畳に星が映り、町はもうひとつの空を持つのです。",
        "古い日誌には、これまでともした灯りの数が、几帳面な字で並んでいました。",
        "「明日もまた来ますね」と猫が言った気がして、番人は笑いました。",
    ];
    const STORY_NOTES: &'static [&'static str] =
        &["港の角", "橋のたもと", "パン屋の前", "図書館の階段", "丘の上"];

    fn asks_for_word(text: &str) -> bool {
        let asks = ["？", "?", "何", "なん", "教え", "覚え", "だっけ", "でした", "は。"];
        text.contains("合言葉") && asks.iter().any(|ask| text.contains(ask))
    }

    fn wants_long(text: &str) -> bool {
        ["長い話", "長いお話", "長い物語"].iter().any(|wish| text.contains(wish))
    }

    fn openings(text: &str) -> &'static [&'static str] {
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if has(&["おはよう", "こんにちは", "こんばんは", "はじめまして", "やあ"])
        {
            &[
                "こんにちは。声をかけてくださって、うれしいです。今日はどんな一日ですか。",
                "ごきげんよう。ここで静かにお待ちしていました。何をお話ししましょうか。",
            ]
        } else if has(&["ありがとう", "助かり", "感謝"]) {
            &[
                "どういたしまして。お役に立てたなら、それがいちばんの喜びです。",
                "こちらこそ、ありがとうございます。またいつでも呼んでくださいね。",
            ]
        } else if has(&["疲れ", "つかれ", "しんど", "つら", "眠"]) {
            &[
                "それは大変でしたね。まずは深呼吸をひとつ。温かいものを飲んで、少し休みましょう。",
                "よくがんばりましたね。今夜は早めに休んで、続きは明日の自分に任せても大丈夫ですよ。",
            ]
        } else if text.contains(['？', '?']) {
            &[
                "よい問いですね。いっしょに、ゆっくり考えてみましょう。まずは分かっていることを並べて、小さく試すのがよさそうです。",
                "なるほど、気になりますよね。私なら、**いちばん小さな一歩**から確かめてみます。",
            ]
        } else {
            &[
                "お話ししてくださって、ありがとうございます。もう少し聞かせてもらえますか。",
                "なるほど、そうだったのですね。あなたの言葉で聞けてよかったです。",
                "ゆっくりで大丈夫ですよ。ひとつずつ、いっしょに見ていきましょう。",
            ]
        }
    }
}

/// Answers in English.
pub(super) struct English;

impl Phrases for English {
    const JAPANESE: bool = false;
    const WORD: (&'static [&'static str], &'static str, &'static [&'static str]) = (
        &[
            "amber",
            "silver",
            "quiet",
            "golden",
            "misty",
            "velvet",
            "cedar",
            "coral",
            "ivory",
            "maple",
            "lunar",
            "winter",
            "summer",
            "copper",
            "olive",
            "pearl",
            "crimson",
            "azure",
            "honey",
            "willow",
            "gentle",
            "hidden",
            "distant",
            "paper",
            "glass",
            "starlit",
            "morning",
            "evening",
            "wandering",
            "humming",
            "northern",
            "floating",
        ],
        " ",
        &[
            "lighthouse",
            "harbour",
            "garden",
            "letter",
            "library",
            "meadow",
            "bridge",
            "lantern",
            "compass",
            "river",
            "orchard",
            "window",
            "sparrow",
            "otter",
            "kettle",
            "island",
            "station",
            "staircase",
            "melody",
            "feather",
            "pebble",
            "anchor",
            "blanket",
            "clock",
            "ferry",
            "valley",
            "teapot",
            "sail",
            "fountain",
            "ribbon",
            "acorn",
            "voyage",
        ],
    );
    const GAP: &'static str = "\n\n";
    const CLOSINGS: &'static [&'static str] = &[
        "By the way, the secret word is “{word}”. Ask me for it later, if you like.",
        "Let me leave a word with you: the secret word is “{word}”.",
        "For this moment, the secret word is “{word}”.",
    ];
    const REMEMBERED: &'static [&'static str] = &[
        "Yes, I remember: the secret word is “{word}”.",
        "Of course. The secret word is “{word}”.",
    ];
    const FORGOTTEN: &'static [&'static str] = &[
        "I am sorry, I do not know. Nothing in our conversation so far tells me that word.",
        "Honestly, I cannot say: there is no such word in the conversation I was given.",
    ];
    const STORY_START: &str = "Then settle in. This is **the story of the lamp keeper**.";
    const STORY_HEADING: &str = "Chapter {n}";
    const STORY_CHAPTERS: usize = 6;
    const STORY_SENTENCES: usize = 13;
    const STORY: &'static [&'static str] = &[
        "In a small town by the sea lived a keeper who lit the lamps every evening. ",
        "The keeper was never in a hurry, and trimmed each wick as if it were the only one. ",
        "On windy nights the shutters were half closed and a pot of tea was made. ",
        "Children waved on their way home, and the keeper always waved back. ",
        "Far out, ships counted the lights and remembered the way to the harbour. ",
        "One day a traveller asked how long these lamps had been burning. ",
        "“As long as somebody remembers them”, the keeper said after a while. ",
        "When the rain stopped, the stones held the stars, and the town had a second sky. ",
        "An old journal listed every lamp ever lit, in a careful hand. ",
        "“See you tomorrow”, the cat seemed to say, and the keeper laughed. ",
    ];
    const STORY_NOTES: &'static [&'static str] =
        &["corner of the harbour", "foot of the bridge", "bakery", "library steps", "hill"];

    fn asks_for_word(text: &str) -> bool {
        let text = text.to_lowercase();
        let names = ["secret word", "the word", "password"].iter().any(|name| text.contains(name));
        let asks = ["?", "what", "which", "tell me", "remember"];
        names && asks.iter().any(|ask| text.contains(ask))
    }

    fn wants_long(text: &str) -> bool {
        text.to_lowercase().contains("long story")
    }

    fn openings(text: &str) -> &'static [&'static str] {
        let text = text.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if has(&["hello", "good morning", "good evening", "nice to meet"]) {
            &[
                "Hello, and thank you for calling me. How has your day been so far?",
                "It is good to see you. What shall we talk about?",
            ]
        } else if has(&["thank", "appreciate"]) {
            &[
                "You are very welcome. I am glad if it helped.",
                "My pleasure. Call me again whenever you like.",
            ]
        } else if has(&["tired", "exhausted", "sad", "hard day"]) {
            &[
                "That sounds like a lot. Take one slow breath, something warm to drink, and a \
                 little rest.",
                "You did well today. The rest can wait for tomorrow’s you.",
            ]
        } else if text.contains('?') {
            &[
                "A good question. Let us look at it slowly: write down what is certain, then try \
                 **the smallest step** first.",
                "I wonder about that too. I would begin with one small thing we can check.",
            ]
        } else {
            &[
                "Thank you for telling me. Would you like to say a little more?",
                "I see. I am glad to hear it in your own words.",
                "There is no hurry. We can go through it one piece at a time.",
            ]
        }
    }
}
