//! The ordered list of rules: what of a text each matches, and how that is read.

use crate::{
    Words, clock, codes, dates, dates::MONTHS, fractions, maths, measures, money, roman, rules::Reading,
    separators, separators::MEASURES, shorthand, streets,
};

const AMOUNT: &str = r"\d+(?:,\d{3})*(?:\.\d+)?";
const DASH: &str = r"(?:[-–]|\s[-–]\s)";
const SCALE: &str = r"(?:hundred|thousand|million|billion|trillion|crore|lakh|bn|mn|tn|mil|[kKmMbBtT])\b";
const ARTICLE: &str = r"((?:[Aa]n?|[Tt]he|[Aa]nother|[Ee]very) )?";
const PER: &str = "(?:month|mo|mth|week|wk|day|year|yr|hour|hr|h|min|minute|second|sec|s|person|user|night|seat|unit|share|token|request|head|piece|mile|gallon|gal|kg|lb|oz|g|L|l|m²|km|kWh|GB|TB)";
const CLOCK: &str = r"\d{1,2}:\d{2}(?:\s?[AaPp]\.?[Mm]\.?)?|\d{1,2}\s?[AaPp]\.?[Mm]\.?";
const WEEKDAY: &str = "(Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)";
const NUMERAL: &str = r"([IVXLCDM]+)\b(?!\.\w|'(?!s\b))";
const BOOKS: &str = "Genesis|Exodus|Leviticus|Deuteronomy|Joshua|Judges|Samuel|Kings|Chronicles|Job|Psalms?|Proverbs|Ecclesiastes|Isaiah|Jeremiah|Ezekiel|Daniel|Matthew|Mark|Luke|John|Acts|Romans|Corinthians|Galatians|Ephesians|Philippians|Hebrews|Revelation";
/// Names after which two numbers with a point are a version.
const RELEASED: &str = "[Vv]ersion|[Rr]elease|[Ff]irmware|Python|Node|Java|PHP|Ruby|Rust|Swift|Kotlin|Django|iOS|iPadOS|macOS|Android|Windows|Ubuntu|Debian|Fedora|Kubernetes|PostgreSQL|Postgres|MySQL|Redis|TLS|SSL|HTTP|USB|Bluetooth|HDMI|OpenGL|CUDA|Unicode|Chrome|Firefox|Llama|Gemini|Claude|GPT";
/// Endings of host names that mark a web address without a scheme.
const HOST: &str = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+(?:com|org|net|edu|gov|io|co|uk|de|fr|info|biz|tv|me|ly|ai|dev|app)";
const FILE: &str = r"(?<![\w./@-])([A-Za-z_][\w-]*)\.(py|js|ts|rs|json|yaml|yml|toml|md|txt|html|css|csv|pdf|png|jpg|exe|zip|sh|cpp|java|xml|sql|log)(?![\w/]|\.\w)";
const HASH: &str =
    r"(?<![\w.-])(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{7,64}|[0-9A-F]{16,64})(?![\w-])";

/// An alternation, longest first so that "lbs" is not read as "lb".
fn any_of<'a>(words: impl Iterator<Item = &'a String>) -> String {
    let mut words: Vec<_> = words.map(|word| fancy_regex::escape(word).into_owned()).collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words.join("|")
}

/// What a text must have for it (see [`crate::rules`]), a pattern, its reading.
pub(crate) type Entry = (&'static str, String, Reading);
type List = Vec<Entry>;

fn rule(needs: &'static str, pattern: &str, reading: Reading) -> Entry {
    (needs, pattern.to_owned(), reading)
}

/// What several patterns are made of.
pub(crate) struct Patterns {
    /// Names of months, short ones among them.
    months: String,
    units: String,
    /// Signs and names of currencies.
    currencies: String,
}

impl Patterns {
    pub(crate) fn of(words: &Words) -> Self {
        let short = MONTHS.iter().map(|month| month[..3].to_owned());
        let months: Vec<_> =
            MONTHS.iter().map(|month| (*month).to_owned()).chain(short).chain(["Sept".to_owned()]).collect();
        Self {
            months: any_of(months.iter()),
            units: any_of(words.units.keys()),
            currencies: any_of(words.currency.keys()),
        }
    }

    /// All of them, in the order that they are applied in.
    pub(crate) fn all(&self, words: &Words) -> impl Iterator<Item = Entry> {
        let lists = [
            self.codes(),
            self.versions(),
            self.numbers(),
            self.dates(),
            self.times(),
            self.sums(),
            self.money(),
            self.measures(),
            self.names(words),
            self.shorthand(words),
            self.leftovers(words),
        ];
        lists.into_iter().flatten()
    }

    /// What must be read before its dots, slashes and hyphens mean anything else.
    fn codes(&self) -> List {
        vec![
            rule("@", r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+", codes::mail),
            rule("\u{1}/", r#"(?<![\w@.])(?:(?:https?|ftp)://|www\.)[^\s<>"“”]+"#, codes::web),
            ("\u{1}", format!(r#"(?<![\w@.-]){HOST}(?![\w-])(?:/[^\s<>"“”]*)?"#), codes::web),
            rule("\u{1}", FILE, codes::file),
            rule("\u{1}", r"(?<![\w.])\.NET\b", shorthand::dot_net),
            rule("0", HASH, codes::hash),
            rule("0 :", r"\b(localhost):(\d{2,5})\b", codes::port),
            rule("0 DdCc", r"\b([Dd]ial|[Cc]all) (911|999|112)\b", codes::emergency),
            rule(
                "0",
                r"(?<![\w.+-])(?:\+?\d{1,3}[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?![\w-]|\.\d)",
                codes::telephone,
            ),
            rule(
                "0 +",
                r"(?<![\w.])\+\d{1,3}(?:(?:[ -]\d{1,4}){3,6}|(?:[ -]\d{2,4}){2,5}|[ -]\d{2,4}[ -]\d{4,8})(?![\w-])",
                codes::telephone,
            ),
            rule(
                "0",
                r"(?<![\w.+-])(?:0\d{2,4}(?: \d{3,4}){2}|\d{4}(?: \d{4}){3})(?![\w-]|\.\d)",
                codes::grouped,
            ),
            rule("0", r"(?<![\w.,$£€¥-])\d{10,}(?![\w%]|[.,]\d)", codes::long_digits),
        ]
    }

    fn versions(&self) -> List {
        vec![
            rule("0 \u{1}", r"\b(\d{1,2})\.(\d{1,2})\.(\d{4})\b(?!\.)", dates::dotted),
            rule(
                "0",
                r"(?<![\w.,:/+-])\d{1,3}(?:(?:'\d{3}){1,5}|(?:_\d{3}){1,5}|(?: \d{3}){1,5}|(?:\.\d{3}){2,5}(?:,\d{1,2})?|\.\d{3},\d{1,2})(?![\w']|[.,]\d)",
                separators::thousands,
            ),
            rule("0 v", r"(?<![\w.])(v)(\d+(?:\.\d+)*)(?!\w)", codes::version),
            rule("\u{1} V", r"(?<![\w.])(V)(\d+(?:\.\d+)+)(?!\w)", codes::version),
            rule("0 \u{1}", r"(?<![\w.])()(\d+(?:\.\d+){2,})(?!\w)", codes::version),
            ("0 \u{1}", format!(r"\b({RELEASED}) (\d+)\.(\d+)(?![\w%]|\.\d)"), codes::release),
        ]
    }

    /// Commas in numbers, and what has a slash.
    fn numbers(&self) -> List {
        let Self { units, currencies, .. } = self;
        vec![
            (
                "0 ,",
                format!(
                    r"((?:{currencies})\s?)?(?<![\d.,])(\d+(?:,\d+)+)(?=(\s?(?:{MEASURES}|(?:{currencies}|{units})(?!\w)))?)(?![.,]?\d)"
                ),
                separators::commas,
            ),
            rule("/", r"(?<![\w/])24/7(?![\w/])", shorthand::round_the_clock),
            rule("T", r"\b(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2})(?::\d{2}(?:\.\d+)?)?Z?\b", dates::with_time),
            rule("0 /", r"(?<![\w./])(\d+)[ -](\d{1,2})/(\d{1,2})(?![\w/])", fractions::mixed),
            rule("\u{80}", r"(\d) ?([½¼¾])", fractions::mixed_sign),
            rule("0", r"(\d) (?=one third\b|two thirds\b|one eighth\b)", fractions::mixed_words),
            rule("/ \u{1}", r"(?<![\w/])(\d+\.\d+)/(\d+)(?![\w/])", fractions::out_of),
            rule("0 /", r"(?<![\w./])(\d+(?:\.\d+)?) / (\d+(?:\.\d+)?)(?![\w/])", maths::quotient),
            rule("0 / =", r"(?<![\w./])(\d+)/(\d+)(?=\s?=)", maths::quotient),
        ]
    }

    fn dates(&self) -> List {
        let months = &self.months;
        let short = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sept?|Oct|Nov|Dec";
        vec![
            rule("0 -", r"\b(\d{4})-(\d{2})-(\d{2})\b", dates::iso),
            rule("0 /", r"\b(\d{4})/(\d{1,2})/(\d{1,2})\b", dates::iso),
            rule("0 /", r"\b(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})\b", dates::american),
            rule("0 -", r"(?<![\w-])(\d{1,2})-(\d{1,2})-(\d{4})(?![\w-])", dates::american),
            rule("0 /", r"(?<![\w/])(\d{4})/(\d{2})(?![\w/])", dates::season),
            rule("0 -", r"(?<![\w.-])\d+(?:-\d+){2,6}(?![\w-])", codes::grouped),
            ("-\u{80}", format!(r"\b{WEEKDAY}\.?\s?[-–]\s?{WEEKDAY}\b"), dates::names_range),
            ("-\u{80}", format!(r"\b({short})\.?[-–]({short})\b"), dates::names_range),
            ("0 MTWFS", format!(r"\b{WEEKDAY}\b\.?(?=,? (?:{months})\b)"), dates::weekday),
            (
                "0 -\u{80}",
                format!(r"\b((?:{months})\.? \d{{1,2}}(?:st|nd|rd|th)?)\s[-–]\s(?=(?:{months})\b)"),
                dates::from_to,
            ),
            (
                "0 -\u{80}",
                format!(
                    r"\b({months})\.? (\d{{1,2}})(?:st|nd|rd|th)?\s?[-–]\s?(\d{{1,2}})(?:st|nd|rd|th)?\b(?![\d:%])(,? \d{{4}}\b)?"
                ),
                dates::month_days,
            ),
            rule(
                "0 -\u{80}",
                r"(?<![\w.])(\d{1,3})(?:st|nd|rd|th)\s?[-–]\s?(\d{1,3})(?:st|nd|rd|th)\b",
                dates::ordinals,
            ),
            rule("0 c", r"\bc\. ?(?=\d{3,4}\b)", dates::circa),
            rule("0 F", r"\bFY ?(?='?\d{2})", dates::fiscal_year),
            rule("0 '", r"(?<![\w'])'(\d\d)(?![\w'])", dates::short_year),
        ]
    }

    fn times(&self) -> List {
        vec![
            (
                "0 :",
                format!(r"\b({BOOKS}) (\d{{1,3}}):(\d{{1,3}})(?:[-–](\d{{1,3}}))?(?![\w:])"),
                clock::verse,
            ),
            rule("0 :", r"(?<![\w.:/])(\d{1,4}):(\d{1,4})(?::(\d{1,4}))?(?![\w:]|\.\d)", clock::ratio),
            ("0 -\u{80}", format!(r"(?<![\w.:])({CLOCK}){DASH}({CLOCK})(?![\w:])"), maths::range),
            rule(
                "0 aApP -\u{80}",
                r"(?<![\w.:/-])(\d{1,2}(?::\d{2})?)\s?[-–]\s?(\d{1,2}(?:[:.]\d{2})?\s?[AaPp]\.?[Mm]\b)",
                clock::hours,
            ),
            rule(
                "0 :",
                r"\b(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\s?([AaPp])\.?[Mm]\.?(?![A-Za-z]))?(?!\d)(?=(\.)?)",
                clock::time,
            ),
            rule(
                "0 aApP mM",
                r"(?<![\w.:,$€£])(\d{1,2})(?:\.(\d{2}))?\s?([AaPp])\.?[Mm]\b\.?(?=(\.)?)",
                clock::half_days,
            ),
        ]
    }

    /// Sums and ranges of what is no plain number yet.
    fn sums(&self) -> List {
        vec![
            rule("% -\u{80}", r"(?<![\w.-])(\d+(?:\.\d+)?%?)(?:[-–]|\s[-–]\s)(\d+(?:\.\d+)?%)", maths::range),
            rule("0 =", r"(?<![\w.-])(\d+(?:\.\d+)?)[-–](\d+(?:\.\d+)?)(?=\s?=)", maths::difference),
            rule("0 - nxyk", r"(?<![\w'-])([nxyk])-(\d+)(?![\w-])", maths::difference),
            rule(
                "-\u{80}",
                r"(?<![\w.$£€-])(-?\d[\d,.]*|[a-z])\s[-–]\s(?=(\d[\d,]*(?:\.\d+)?|[a-z])(?!\w))",
                maths::spaced_hyphen,
            ),
            rule(
                "0 \u{1} -\u{80}",
                r"(?<![\w.$£€-])(\d+\.\d+|\d+(?=(?:[-–]|\s[-–]\s)\d+\.\d))(?:[-–]|\s[-–]\s)(\d+(?:\.\d+)?)(?!\w|\.\d|%|-)",
                maths::range,
            ),
            rule("^", r"([\dA-Za-z)])\^(-?\d+)", maths::power),
            rule(
                "0 eE",
                r"(?<![\w.])(\d+\.\d+(?=[eE][+-]?\d)|\d+(?=[eE][+-]\d))[eE]([+-]?\d{1,3})(?!\w)",
                maths::scientific,
            ),
            rule("=>", r"\s?(>=|<=|!=|===?|->|=>|\+=|-=)\s?", maths::comparison),
            rule("<>", r"(?<![\w.])(\d[\d.,]*|[A-Za-z])\s?([<>])\s?(?=[\d$€£-]|[A-Za-z]\b)", maths::order),
            rule("0 <>~", r"(?<!\S)([<>~])\s?(?=[$€£]?\d)", maths::bound),
            rule("*", r"(?<=\d)\s?\*\s?(?=-?\d)|(?<=\b[a-z]) \* (?=[a-z]\b)", maths::times),
            rule("0 x", r"(?<![\w.])(\d+(?:\.\d+)?)\s?x\s?(?=\d)", maths::by),
            rule("0 +", r"(?<=\d)\s?\+\s?(?=-?\d)", maths::plus),
            rule("0 =", r"(?<=\d)\s?=(?=\s?[?.]?$)", maths::equals),
        ]
    }

    fn money(&self) -> List {
        let currencies = &self.currencies;
        vec![
            rule("-", r"(?<![\w)])-(?=[$£€]\d)", maths::minus),
            rule("+", r"(?<![\w+])\+(?=[$£€¥₹]\d)", maths::plus),
            rule("$\u{80}", r"([$£€][\d,.]+(?:[bmt]n|[kKmMbB])?)\s?[-–]\s?(?=[$£€]\d)()", maths::range),
            (
                "0 -\u{80}",
                format!(r"(?<!\w)({currencies})({AMOUNT}){DASH}({AMOUNT})(?:\s?({SCALE}))?(?!\w)"),
                money::range,
            ),
            (
                "0",
                format!(r"(?<!\w){ARTICLE}({currencies})\s?({AMOUNT})(?:\s?({SCALE}))?(?:/({PER})\b)?"),
                money::before,
            ),
            (
                "0",
                format!(
                    r"(?<![\w.,$€£]){ARTICLE}({AMOUNT})(?:\s?({SCALE}))?\s?({currencies})(?!\w|\s?\d)(?:/({PER})\b)?"
                ),
                money::after,
            ),
            // Not before money: "USD5.50" is none.
            rule("0 \u{1}", r"(?<![\w.])([A-Za-z]{2,})-?(\d+)\.(\d+)(?![\w%]|\.\d)", codes::release),
        ]
    }

    fn measures(&self) -> List {
        let Self { units, months, .. } = self;
        vec![
            (
                "0 nkKmMbB",
                format!(r"(?<![\w.$€£])({AMOUNT})\s?(bn|mn|tn|[kKmMbB])(?![\w'-])"),
                measures::scale,
            ),
            ("0 x\u{80}", format!(r"(?<![\w.])({AMOUNT})[x×](?!\w|\s?\d)"), measures::times_over),
            ("0 /", format!(r"(?<![\w.])({AMOUNT})\s?[lL]/(100)\s?km(?!\w)"), measures::consumption),
            rule("0 / H", r"(?<![\w/])(\d{2,3})/(\d{2,3})(?=\s?mmHg)", measures::pressure),
            rule(
                "0 h",
                r"(?<![\w.])(\d+)\s?h(?:rs?)?\s?(\d+)\s?m(?:in)?(?:\s?(\d+)\s?s(?:ec)?)?(?!\w)",
                measures::spans,
            ),
            rule("0 m s", r"(?<![\w.])()(\d+)\s?m(?:in)?\s?(\d+)\s?s(?:ec)?(?!\w)", measures::spans),
            rule("0 f", r"(?<![\w.])(\d+)\s?ft\.? (\d{1,2})\s?(in)\b", measures::feet),
            rule("0 '", r#"(?<![\w.])(\d)'\s?(\d{1,2})(?:"|”|“|'')"#, measures::feet),
            rule("0 s", r"(?<![\w.])(\d+(?:\.\d+)?)s(?!\w)", measures::seconds),
            rule("0 s", r"(?<![\w.])'?(\d0|\d{3}0)s\b", dates::decade),
            ("\u{80}", format!(r"(?<![\w.]){ARTICLE}(-?{AMOUNT})\s?°\s?([CF])?(?!\w)"), measures::degrees),
            (
                "0",
                format!(r"(?<![\w.]){ARTICLE}(-?{AMOUNT}|[½¼¾])(-|\s)?({units})(?:/({units}|s))?(?!\w)"),
                measures::unit,
            ),
            ("0", format!(r"\b(and (?:one|\d+) [a-z]+) ({units})(?!\w)"), measures::mixed_unit),
            (
                "0 JFMASOND",
                format!(r"\b({months})\.? (\d{{1,2}})(?:st|nd|rd|th)?\b(?![\d:%])(,? \d{{4}}\b)?"),
                dates::month_day,
            ),
            (
                "0 JFMASOND",
                format!(r"\b(?:the )?(\d{{1,2}})(?:st|nd|rd|th)? (?:of )?({months})\b\.?"),
                dates::day_month,
            ),
        ]
    }

    /// Streets, titles and Roman numerals.
    fn names(&self, words: &Words) -> List {
        let (counted, rulers) = (any_of(words.roman_cardinal.iter()), any_of(words.roman_ordinal.iter()));
        vec![
            rule(
                "NSEW",
                r"(?<!\S)([NSEW])\. (?=[A-Z][a-z]+ (?:St|Ave|Rd|Blvd|Dr|Ln|Hwy)\b)",
                streets::direction,
            ),
            rule(
                "0 SARBDL",
                r"\b(\d)(\d\d[A-Z]?) (?=(?:[A-Z][a-z]+ ){1,3}(?:St|Ave|Rd|Blvd|Dr|Ln|Street|Avenue|Road|Boulevard|Drive|Lane)\b)",
                streets::house,
            ),
            rule("0 B", r"\bBoeing (\d)(\d\d)\b", streets::boeing),
            rule("0 ACB", r"\b(AD)(?= \d)|(?<=\d )(BCE|BC|AD|CE)\b", dates::era),
            rule("0 O", r"\b(?:[CNS]O(?=[2-4]\b)|H(?=2O\b))", codes::formula),
            rule("0 H", r"\bH (2)(O)\b", codes::apart),
            rule(".", r"\b(St|Dr)\.", streets::street),
            ("", format!(r"\b({})\.? (?=[A-Z])", any_of(words.titles())), shorthand::title),
            ("IVX", format!(r"\b({counted}) {NUMERAL}"), roman::counted),
            ("IVX", format!(r"\b({rulers}) {NUMERAL}"), roman::ruler),
            rule("IVX", r"\b([A-Z][a-z]+) ([IVX]{2,6})\b(?!\.\w|'(?!s\b))", roman::named),
            rule("IVX", r"\b([IVX]+)(?= [Cc]entur)", roman::century),
        ]
    }

    fn shorthand(&self, words: &Words) -> List {
        vec![
            (
                "",
                format!(r"(?<![\w.])({})(?!\w)(?=($)?)", any_of(words.abbreviations.keys())),
                shorthand::abbreviation,
            ),
            rule("0 .", r"\b(No|Nos|p|ext|min|max|pop)\. ?(?=\d)", shorthand::numbered),
            rule("0 #", r"(?<![\w&])#(?=\d)", shorthand::numbered),
            rule("#", r"(?<![\w#])([A-GJ])#(?!\w)", shorthand::sharp),
            rule("+", r"(?<!\w)([A-Za-z]+)\+\+(?!\w)", shorthand::plus_plus),
            rule(
                "'",
                r"(?<!\w)(th)'(?= )|\b([A-Za-z]{2,}in)'(?!\w)|(?<![\w'])'((?i:em|cause|til|tis|twas|n))\b'?",
                shorthand::clipped,
            ),
            rule("\u{80}", r"(?<!\w)‘([^‘]+?)'(?!\w)", shorthand::quoted),
            rule("-", r"(?<=[^\s\d]) --? (?=\S)|(?<=\w) ?--(?=\w)", shorthand::pause),
            rule("0 -", r"(?<![\w.-])(?:\d{3}-)?\d{3}-\d{4}(?![\w-]|\.\d)", codes::telephone),
            rule("0 /", r"(?<![\w./])(\d{1,2})/(\d{1,2}|100|1000)(?![\w/]|\.\d)", fractions::fraction),
            (
                "0 -\u{80}",
                format!(
                    r"(?<![\w.-])(\d{{1,3}}(?:,\d{{3}})+|\d{{1,4}}){DASH}(\d{{1,3}}(?:,\d{{3}})+|\d{{1,4}})(?!\w|\.\d|-|%)"
                ),
                maths::range,
            ),
            rule("-", r"\b(A)-(Z)\b", maths::range),
            rule("0 +", r"(?<![\w+])\+(?=\d)", maths::plus),
        ]
    }

    /// Signs that no other rule has read.
    fn leftovers(&self, words: &Words) -> List {
        let (between, anywhere): (Vec<char>, Vec<char>) =
            words.symbols.keys().partition(|symbol| "=<>~".contains(**symbol));
        let one_of = |symbols: Vec<char>| {
            let escaped: String = symbols
                .iter()
                .map(|symbol| fancy_regex::escape(&symbol.to_string()).into_owned() + "|")
                .collect();
            // An empty table leaves a pattern that matches nothing.
            format!(r"(?:{escaped}[^\s\S])")
        };
        vec![
            ("=<>~", format!(r"(?<=\S) ?{} ?(?=\S)", one_of(between)), shorthand::symbol),
            ("", one_of(anywhere), shorthand::symbol),
            rule(".,;:!?", r"\s+([,.;:!?])(?!\d)", shorthand::tight_punctuation),
        ]
    }
}
