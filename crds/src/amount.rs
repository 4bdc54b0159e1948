//! Amounts of memory and CPU, in the notation of Kubernetes.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An amount as the user wrote it: a whole number or a Kubernetes quantity
/// such as `500m`, `2` or `1Gi`. Kept as text; [`Amount::memory`] and
/// [`Amount::cpu`] read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount(String);

/// Why an amount could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a whole or decimal number, optionally followed by a unit such as Mi or Gi (memory) or m (CPU)"
)]
pub struct InvalidAmount(String);

/// Bytes, with the family of units they were written in. Its text is the one
/// the API server keeps, so that what we ask for and what is stored compare
/// equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    bytes: u64,
    binary: bool,
}

/// Thousandths of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu(u64);

const BINARY: [(&str, u64); 4] = [("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
const DECIMAL: [(&str, u64); 4] =
    [("T", 1_000_000_000_000), ("G", 1_000_000_000), ("M", 1_000_000), ("k", 1_000)];

impl Amount {
    /// The amount as bytes, rounded up.
    pub fn memory(&self) -> Result<Memory, InvalidAmount> {
        let split = self.0.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(self.0.len());
        let (number, unit) = self.0.split_at(split);
        let (factor, binary) = if unit.is_empty() {
            (1, false)
        } else if let Some(factor) = factor_of(unit, &BINARY) {
            (factor, true)
        } else {
            (factor_of(unit, &DECIMAL).ok_or_else(|| self.invalid())?, false)
        };
        let bytes = scaled(number, factor).ok_or_else(|| self.invalid())?;
        Ok(Memory { bytes, binary })
    }

    /// The amount as CPU time, rounded up to thousandths.
    pub fn cpu(&self) -> Result<Cpu, InvalidAmount> {
        let (number, factor) = match self.0.strip_suffix('m') {
            Some(number) => (number, 1),
            None => (self.0.as_str(), 1000),
        };
        scaled(number, factor).map(Cpu).ok_or_else(|| self.invalid())
    }

    fn invalid(&self) -> InvalidAmount {
        InvalidAmount(self.0.clone())
    }
}

fn factor_of(unit: &str, units: &[(&str, u64)]) -> Option<u64> {
    units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor)
}

/// `number` (digits with an optional decimal point) times `factor`, rounded up.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) || digits.len() > 18 {
        return None;
    }
    let value: u128 = digits.parse().ok()?;
    let divisor = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    u64::try_from((value * u128::from(factor)).div_ceil(divisor)).ok()
}

impl Memory {
    /// So many bytes, written in binary units.
    pub fn from_bytes(bytes: u64) -> Self {
        Self { bytes, binary: true }
    }

    /// The number of bytes.
    pub fn bytes(self) -> u64 {
        self.bytes
    }

    /// Whole mebibytes, rounded down.
    pub fn mebibytes(self) -> u64 {
        self.bytes >> 20
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = if self.binary { BINARY } else { DECIMAL };
        match units.into_iter().find(|(_, factor)| self.bytes > 0 && self.bytes.is_multiple_of(*factor)) {
            Some((unit, factor)) => write!(f, "{}{unit}", self.bytes / factor),
            None => write!(f, "{}", self.bytes),
        }
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) { write!(f, "{}", self.0 / 1000) } else { write!(f, "{}m", self.0) }
    }
}

impl From<&str> for Amount {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number or a quantity such as 500m or 1Gi")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Amount, E> {
                Ok(Amount(value.to_string()))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Amount, E> {
                Ok(Amount(value.to_string()))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Amount, E> {
                Ok(Amount(value.to_owned()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Amount {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kubernetes-int-or-string": true, "maxLength": 20 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_written_as_the_api_server_keeps_it() {
        for (written, kept) in [
            ("1Gi", "1Gi"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("1000M", "1G"),
            ("1073741824", "1073741824"),
            ("2000000000", "2G"),
            ("0.3Mi", "314573"),
        ] {
            assert_eq!(Amount::from(written).memory().expect(written).to_string(), kept, "{written}");
        }
    }

    #[test]
    fn cpu_is_written_as_the_api_server_keeps_it() {
        for (written, kept) in
            [("1", "1"), ("1000m", "1"), ("1.5", "1500m"), ("250m", "250m"), ("0.0001", "1m")]
        {
            assert_eq!(Amount::from(written).cpu().expect(written).to_string(), kept, "{written}");
        }
    }

    #[test]
    fn what_is_not_an_amount_is_refused() {
        for text in ["", "Gi", "1 Gi", "-1", "1e3", "1.2.3", "99999999999999999999", "1Xi", "1ΜΒ"] {
            assert!(Amount::from(text).memory().is_err(), "{text}");
        }
        for text in ["", "m", "-1", "1Gi"] {
            assert!(Amount::from(text).cpu().is_err(), "{text}");
        }
    }

    #[test]
    fn whole_numbers_may_stand_without_quotes() {
        let amount: Amount = serde_json::from_str("8589934592").expect("a number");
        assert_eq!(amount.memory().expect("bytes").mebibytes(), 8192);
    }
}
