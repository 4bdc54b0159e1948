//! Word tables: those that come with a voice, and what every voice gets.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Units: as written, one of them, several.
const UNITS: [(&str, &str, &str); 98] = [
    ("km", "kilometer", "kilometers"),
    ("cm", "centimeter", "centimeters"),
    ("mm", "millimeter", "millimeters"),
    ("nm", "nanometer", "nanometers"),
    ("µm", "micrometer", "micrometers"),
    ("m", "meter", "meters"),
    ("ft", "foot", "feet"),
    ("yd", "yard", "yards"),
    ("mi", "mile", "miles"),
    ("ha", "hectare", "hectares"),
    ("km²", "square kilometer", "square kilometers"),
    ("km2", "square kilometer", "square kilometers"),
    ("m²", "square meter", "square meters"),
    ("m2", "square meter", "square meters"),
    ("cm²", "square centimeter", "square centimeters"),
    ("m³", "cubic meter", "cubic meters"),
    ("m3", "cubic meter", "cubic meters"),
    ("cm³", "cubic centimeter", "cubic centimeters"),
    ("sq ft", "square foot", "square feet"),
    ("sq mi", "square mile", "square miles"),
    ("kg", "kilogram", "kilograms"),
    ("g", "gram", "grams"),
    ("mg", "milligram", "milligrams"),
    ("µg", "microgram", "micrograms"),
    ("mcg", "microgram", "micrograms"),
    ("t", "ton", "tons"),
    ("lb", "pound", "pounds"),
    ("lbs", "pounds", "pounds"),
    ("oz", "ounce", "ounces"),
    ("L", "liter", "liters"),
    ("l", "liter", "liters"),
    ("dL", "deciliter", "deciliters"),
    ("dl", "deciliter", "deciliters"),
    ("cl", "centiliter", "centiliters"),
    ("mL", "milliliter", "milliliters"),
    ("ml", "milliliter", "milliliters"),
    ("tbsp", "tablespoon", "tablespoons"),
    ("tbsp.", "tablespoon", "tablespoons"),
    ("tsp", "teaspoon", "teaspoons"),
    ("tsp.", "teaspoon", "teaspoons"),
    ("pkg.", "package", "packages"),
    ("c.", "cup", "cups"),
    ("gal", "gallon", "gallons"),
    ("qt", "quart", "quarts"),
    ("hr", "hour", "hours"),
    ("hrs", "hours", "hours"),
    ("h", "hour", "hours"),
    ("min", "minute", "minutes"),
    ("mins", "minutes", "minutes"),
    ("sec", "second", "seconds"),
    ("secs", "seconds", "seconds"),
    ("ms", "millisecond", "milliseconds"),
    ("µs", "microsecond", "microseconds"),
    ("ns", "nanosecond", "nanoseconds"),
    ("yr", "year", "years"),
    ("yrs", "years", "years"),
    ("kph", "kilometers per hour", "kilometers per hour"),
    ("mph", "mile per hour", "miles per hour"),
    ("km/h", "kilometer per hour", "kilometers per hour"),
    ("m/s", "meter per second", "meters per second"),
    ("km/s", "kilometer per second", "kilometers per second"),
    ("m/s²", "meter per second squared", "meters per second squared"),
    ("mpg", "miles per gallon", "miles per gallon"),
    ("rpm", "revolutions per minute", "revolutions per minute"),
    ("bpm", "beats per minute", "beats per minute"),
    ("Hz", "hertz", "hertz"),
    ("kHz", "kilohertz", "kilohertz"),
    ("MHz", "megahertz", "megahertz"),
    ("GHz", "gigahertz", "gigahertz"),
    ("W", "watt", "watts"),
    ("kW", "kilowatt", "kilowatts"),
    ("MW", "megawatt", "megawatts"),
    ("GW", "gigawatt", "gigawatts"),
    ("kWh", "kilowatt hour", "kilowatt hours"),
    ("Wh", "watt hour", "watt hours"),
    ("mAh", "milliamp hours", "milliamp hours"),
    ("V", "volt", "volts"),
    ("kV", "kilovolt", "kilovolts"),
    ("dB", "decibel", "decibels"),
    ("hPa", "hectopascal", "hectopascals"),
    ("kPa", "kilopascal", "kilopascals"),
    ("psi", "pounds per square inch", "pounds per square inch"),
    ("mmHg", "millimeters of mercury", "millimeters of mercury"),
    ("kcal", "kilocalorie", "kilocalories"),
    ("KB", "kilobyte", "kilobytes"),
    ("kB", "kilobyte", "kilobytes"),
    ("MB", "megabyte", "megabytes"),
    ("GB", "gigabyte", "gigabytes"),
    ("TB", "terabyte", "terabytes"),
    ("KiB", "kibibyte", "kibibytes"),
    ("MiB", "mebibyte", "mebibytes"),
    ("GiB", "gibibyte", "gibibytes"),
    ("Mbps", "megabits per second", "megabits per second"),
    ("Gbps", "gigabits per second", "gigabits per second"),
    ("fps", "frames per second", "frames per second"),
    ("dpi", "dots per inch", "dots per inch"),
    ("px", "pixel", "pixels"),
    ("req", "request", "requests"),
];
/// Currencies: as written before or after an amount, one of them, several.
const CURRENCIES: [(&str, &str, &str); 33] = [
    ("$", "dollar", "dollars"),
    ("US$", "dollar", "dollars"),
    ("USD", "dollar", "dollars"),
    ("C$", "Canadian dollar", "Canadian dollars"),
    ("CA$", "Canadian dollar", "Canadian dollars"),
    ("CAD", "Canadian dollar", "Canadian dollars"),
    ("A$", "Australian dollar", "Australian dollars"),
    ("AU$", "Australian dollar", "Australian dollars"),
    ("AUD", "Australian dollar", "Australian dollars"),
    ("NZ$", "New Zealand dollar", "New Zealand dollars"),
    ("HK$", "Hong Kong dollar", "Hong Kong dollars"),
    ("S$", "Singapore dollar", "Singapore dollars"),
    ("€", "euro", "euros"),
    ("EUR", "euro", "euros"),
    ("£", "pound", "pounds"),
    ("GBP", "pound", "pounds"),
    ("¥", "yen", "yen"),
    ("JPY", "yen", "yen"),
    ("₩", "won", "won"),
    ("₹", "rupee", "rupees"),
    ("INR", "rupee", "rupees"),
    ("Rs", "rupee", "rupees"),
    ("Rs.", "rupee", "rupees"),
    ("zł", "zloty", "zlotys"),
    ("PLN", "zloty", "zlotys"),
    ("kr", "krone", "kroner"),
    ("SEK", "Swedish krona", "Swedish kronor"),
    ("NOK", "Norwegian krone", "Norwegian kroner"),
    ("DKK", "Danish krone", "Danish kroner"),
    ("CHF", "Swiss franc", "Swiss francs"),
    ("CNY", "yuan", "yuan"),
    ("RUB", "ruble", "rubles"),
    ("¢", "cent", "cents"),
];
const ABBREVIATIONS: [(&str, &str); 32] = [
    ("Jr.", "Junior"),
    ("Sr.", "Senior"),
    ("St.", "Street"),
    ("Ave.", "Avenue"),
    ("Blvd.", "Boulevard"),
    ("Rd.", "Road"),
    ("Ln.", "Lane"),
    ("Hwy.", "Highway"),
    ("Apt.", "Apartment"),
    ("Ltd.", "Limited"),
    ("Inc.", "Incorporated"),
    ("Corp.", "Corporation"),
    ("Co.", "Company"),
    ("Dept.", "Department"),
    ("Univ.", "University"),
    ("approx.", "approximately"),
    ("vs.", "versus"),
    ("vol.", "volume"),
    ("fig.", "figure"),
    ("Jan.", "January"),
    ("Feb.", "February"),
    ("Aug.", "August"),
    ("Sept.", "September"),
    ("Oct.", "October"),
    ("Nov.", "November"),
    ("Dec.", "December"),
    ("Tues.", "Tuesday"),
    ("Thurs.", "Thursday"),
    ("pp.", "pages"),
    ("et al.", "et al"),
    ("w/", "with"),
    ("w/o", "without"),
];
const TITLES: [(&str, &str); 15] = [
    ("Mr", "Mister"),
    ("Mrs", "Missus"),
    ("Ms", "Miz"),
    ("Dr", "Doctor"),
    ("Prof", "Professor"),
    ("St", "Saint"),
    ("Mt", "Mount"),
    ("Ft", "Fort"),
    ("Gen", "General"),
    ("Gov", "Governor"),
    ("Sen", "Senator"),
    ("Capt", "Captain"),
    ("Lt", "Lieutenant"),
    ("Sgt", "Sergeant"),
    ("Rev", "Reverend"),
];
const SYMBOLS: [(char, &str); 17] = [
    ('=', "equals"),
    ('<', "less than"),
    ('>', "greater than"),
    ('~', "about"),
    ('°', "degrees"),
    ('§', "section"),
    ('±', "plus or minus"),
    ('×', "times"),
    ('÷', "divided by"),
    ('→', "to"),
    ('½', "one half"),
    ('¼', "one quarter"),
    ('¾', "three quarters"),
    ('²', "squared"),
    ('³', "cubed"),
    ('µ', "micro"),
    ('^', "to the power of"),
];
/// What a Roman numeral after them counts.
const COUNTED: [&str; 31] = [
    "Chapter",
    "chapter",
    "Part",
    "part",
    "Act",
    "Scene",
    "Section",
    "Volume",
    "Book",
    "Phase",
    "phase",
    "Article",
    "World War",
    "Mark",
    "Type",
    "type",
    "Level",
    "Stage",
    "stage",
    "Class",
    "Grade",
    "Super Bowl",
    "Apollo",
    "Episode",
    "Round",
    "Saturn",
    "Title",
    "Appendix",
    "Schedule",
    "Tier",
    "Vatican",
];
/// Whose successors are numbered.
const RULERS: [&str; 62] = [
    "Pope",
    "Henry",
    "Louis",
    "Edward",
    "George",
    "William",
    "Charles",
    "James",
    "Richard",
    "Elizabeth",
    "Napoleon",
    "Pius",
    "Benedict",
    "Leo",
    "John Paul",
    "Paul",
    "Innocent",
    "Gregory",
    "Clement",
    "Urban",
    "Boniface",
    "Frederick",
    "Friedrich",
    "Wilhelm",
    "Philip",
    "Alexander",
    "Nicholas",
    "Peter",
    "Catherine",
    "Ivan",
    "Umberto",
    "Victor Emmanuel",
    "Gustav",
    "Christian",
    "Ferdinand",
    "Darius",
    "Xerxes",
    "Artaxerxes",
    "Cyrus",
    "Cambyses",
    "Thutmose",
    "Amenhotep",
    "Ramses",
    "Ramesses",
    "Seti",
    "Ptolemy",
    "Antiochus",
    "Seleucus",
    "Cleopatra",
    "Otto",
    "Leopold",
    "Alfonso",
    "Haakon",
    "Harald",
    "Mary",
    "Margaret",
    "Robert",
    "Mehmed",
    "Murad",
    "Selim",
    "Francis",
    "Joseph",
];

/// What words and signs stand for. A voice brings its own table; what it lacks
/// is added.
#[derive(Debug, Default, Deserialize)]
pub struct Words {
    titles: BTreeMap<String, String>,
    pub(crate) abbreviations: BTreeMap<String, String>,
    pub(crate) units: BTreeMap<String, (String, String)>,
    pub(crate) symbols: BTreeMap<char, String>,
    pub(crate) currency: BTreeMap<String, (String, String)>,
    pub(crate) roman_cardinal: Vec<String>,
    pub(crate) roman_ordinal: Vec<String>,
}

fn add<K: Ord, V>(table: &mut BTreeMap<K, V>, entries: impl IntoIterator<Item = (K, V)>) {
    for (key, value) in entries {
        table.entry(key).or_insert(value);
    }
}

impl Words {
    /// The table for texts of any voice.
    pub fn common() -> Self {
        let mut words = Self::default();
        add(&mut words.titles, TITLES.map(owned));
        add(&mut words.abbreviations, ABBREVIATIONS.map(owned));
        add(&mut words.symbols, SYMBOLS.map(|(sign, name)| (sign, name.to_owned())));
        words.completed()
    }

    /// The table with the units, currencies and names that it lacks.
    pub(crate) fn completed(mut self) -> Self {
        add(&mut self.units, UNITS.map(|(unit, one, many)| (unit.to_owned(), owned((one, many)))));
        add(&mut self.currency, CURRENCIES.map(|(sign, one, many)| (sign.to_owned(), owned((one, many)))));
        self.roman_cardinal.extend(COUNTED.map(str::to_owned));
        // Of these, it is the name after them that is numbered.
        self.roman_ordinal.retain(|word| !matches!(word.as_str(), "King" | "Queen"));
        self.roman_ordinal.extend(RULERS.map(str::to_owned));
        self
    }

    pub(crate) fn title(&self, short: &str) -> Option<&str> {
        self.titles.get(short).map(String::as_str)
    }

    pub(crate) fn titles(&self) -> impl Iterator<Item = &String> {
        self.titles.keys()
    }

    pub(crate) fn abbreviation(&self, short: &str) -> Option<&str> {
        self.abbreviations.get(short).map(String::as_str)
    }

    pub(crate) fn unit(&self, unit: &str) -> Option<&(String, String)> {
        self.units.get(unit)
    }

    pub(crate) fn symbol(&self, symbol: &str) -> Option<&str> {
        self.symbols.get(&symbol.chars().next()?).map(String::as_str)
    }

    pub(crate) fn currency(&self, sign: &str) -> Option<&(String, String)> {
        self.currency.get(sign)
    }
}

fn owned((left, right): (&str, &str)) -> (String, String) {
    (left.to_owned(), right.to_owned())
}
