//! `strftime` and `to_datetime`, in UTC: a template must not depend on where it is rendered.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use minijinja::value::{Enumerator, Object, ObjectRepr, Value, from_args};
use minijinja::{Environment, Error, ErrorKind, State};

use super::{Arguments, Given, More, wrong};
use crate::templates::python;

pub(super) fn register(engine: &mut Environment<'static>) {
    engine.add_filter("strftime", |Given(format): Given, rest: More| {
        let arguments = Arguments::new(rest)?;
        let second = arguments.get(0, "second").filter(|value| !value.is_none());
        arguments.flag(1, "utc");
        arguments.finish(2)?;
        let seconds = match second {
            Some(second) => match python::as_float(&second) {
                Some(float) => Some(float.floor() as i64),
                None => python::str_of(&second)?.trim().parse().ok(),
            }
            .ok_or_else(|| wrong("strftime takes seconds since 1970"))?,
            None => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs() as i64),
        };
        Moment::at(seconds)?.format(&python::str_of(&format)?)
    });
    engine.add_filter("to_datetime", |Given(text): Given, rest: More| {
        let arguments = Arguments::new(rest)?;
        let format = arguments
            .text(0, "format")?
            .unwrap_or_else(|| "%Y-%m-%d %H:%M:%S".into());
        arguments.finish(1)?;
        Moment::parse(&python::str_of(&text)?, &format).map(Value::from_object)
    });
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
const DAY: i64 = 86_400;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Moment {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

/// Days since 1970 of a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

impl Moment {
    fn at(seconds: i64) -> Result<Moment, Error> {
        const YEAR_9999: i64 = 253_402_300_799;
        if !(-62_135_596_800..=YEAR_9999).contains(&seconds) {
            return Err(wrong("a time outside of the years 1 to 9999"));
        }
        let (day, of_day) = (seconds.div_euclid(DAY) + 719_468, seconds.rem_euclid(DAY));
        let era = day.div_euclid(146_097);
        let of_era = day.rem_euclid(146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let shifted = if month < 10 { month + 3 } else { month - 9 };
        Ok(Moment {
            year: era * 400 + year + i64::from(shifted <= 2),
            month: shifted,
            day: of_year - (153 * month + 2) / 5 + 1,
            hour: of_day / 3_600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
        })
    }

    fn days(&self) -> i64 {
        days(self.year, self.month, self.day)
    }

    fn timestamp(&self) -> i64 {
        self.days() * DAY + self.hour * 3_600 + self.minute * 60 + self.second
    }

    /// From 0 = Sunday.
    fn weekday(&self) -> i64 {
        (self.days() + 4).rem_euclid(7)
    }

    /// From 1.
    fn yearday(&self) -> i64 {
        self.days() - days(self.year, 1, 1) + 1
    }

    fn format(&self, format: &str) -> Result<String, Error> {
        let mut out = String::new();
        let mut chars = format.chars();
        while let Some(char) = chars.next() {
            if char != '%' {
                out.push(char);
                continue;
            }
            let Some(mut sign) = chars.next() else {
                out.push('%');
                break;
            };
            let plain = sign == '-';
            if plain {
                sign = chars.next().unwrap_or('%');
            }
            let text = self.field(sign)?;
            match plain {
                true => out.push_str(text.trim_start_matches(['0', ' '])),
                false => out.push_str(&text),
            }
        }
        Ok(out)
    }

    fn field(&self, sign: char) -> Result<String, Error> {
        let two = |number: i64| format!("{number:02}");
        let hour12 = (self.hour + 11) % 12 + 1;
        let weekday = DAYS[self.weekday() as usize];
        let month = MONTHS[(self.month - 1) as usize];
        Ok(match sign {
            'Y' => self.year.to_string(),
            'm' => two(self.month),
            'd' => two(self.day),
            'e' => format!("{:2}", self.day),
            'H' => two(self.hour),
            'I' => two(hour12),
            'M' => two(self.minute),
            'S' => two(self.second),
            'y' => two(self.year.rem_euclid(100)),
            'C' => two(self.year / 100),
            'j' => format!("{:03}", self.yearday()),
            'p' => if self.hour < 12 { "AM" } else { "PM" }.to_owned(),
            'a' => weekday[..3].to_owned(),
            'A' => weekday.to_owned(),
            'b' | 'h' => month[..3].to_owned(),
            'B' => month.to_owned(),
            'w' => self.weekday().to_string(),
            'u' => ((self.weekday() + 6) % 7 + 1).to_string(),
            'U' => two((self.yearday() + 6 - self.weekday()) / 7),
            'W' => two((self.yearday() + 6 - (self.weekday() + 6) % 7) / 7),
            's' => self.timestamp().to_string(),
            'F' => self.format("%Y-%m-%d")?,
            'T' | 'X' => self.format("%H:%M:%S")?,
            'R' => self.format("%H:%M")?,
            'D' | 'x' => self.format("%m/%d/%y")?,
            'c' => self.format("%a %b %e %H:%M:%S %Y")?,
            'Z' => "UTC".to_owned(),
            'z' => "+0000".to_owned(),
            'f' => "000000".to_owned(),
            'n' => "\n".to_owned(),
            't' => "\t".to_owned(),
            '%' => "%".to_owned(),
            other => return Err(wrong(format!("a date has no field %{other}"))),
        })
    }

    fn parse(text: &str, format: &str) -> Result<Moment, Error> {
        let bad = || wrong(format!("`{text}` is no time of the form `{format}`"));
        let mut made = Moment {
            year: 1900,
            month: 1,
            day: 1,
            hour: 0,
            minute: 0,
            second: 0,
        };
        let format = format.replace("%F", "%Y-%m-%d").replace("%T", "%H:%M:%S");
        let mut rest = text;
        let mut chars = format.chars();
        while let Some(char) = chars.next() {
            if char.is_whitespace() {
                rest = rest.trim_start();
                continue;
            }
            let sign = match char {
                '%' => chars.next().ok_or_else(bad)?,
                _ => {
                    rest = rest.strip_prefix(char).ok_or_else(bad)?;
                    continue;
                }
            };
            if sign == 'b' || sign == 'B' {
                let (at, len) = month(rest, sign == 'B').ok_or_else(bad)?;
                made.month = at;
                rest = &rest[len..];
                continue;
            }
            let most = if sign == 'Y' { 4 } else { 2 };
            let len = rest
                .bytes()
                .take(most)
                .take_while(u8::is_ascii_digit)
                .count();
            let number: i64 = rest[..len].parse().map_err(|_| bad())?;
            rest = &rest[len..];
            match sign {
                'Y' => made.year = number,
                'y' => made.year = number + if number < 69 { 2000 } else { 1900 },
                'm' => made.month = number,
                'd' => made.day = number,
                'H' => made.hour = number,
                'M' => made.minute = number,
                'S' => made.second = number,
                other => return Err(wrong(format!("to_datetime cannot read %{other}"))),
            }
        }
        let real = Moment::at(made.timestamp()).is_ok_and(|moment| moment == made);
        (rest.is_empty() && real && (1..=12).contains(&made.month))
            .then_some(made)
            .ok_or_else(bad)
    }
}

fn month(text: &str, is_full: bool) -> Option<(i64, usize)> {
    let lower = text.to_ascii_lowercase();
    let mut names = MONTHS.iter().map(|name| name.to_ascii_lowercase());
    let at = names.position(|name| lower.starts_with(if is_full { &name } else { &name[..3] }))?;
    Some((at as i64 + 1, if is_full { MONTHS[at].len() } else { 3 }))
}

impl Object for Moment {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(Value::from(match key.as_str()? {
            "year" => self.year,
            "month" => self.month,
            "day" => self.day,
            "hour" => self.hour,
            "minute" => self.minute,
            "second" => self.second,
            "microsecond" => 0,
            _ => return None,
        }))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State,
        name: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        Ok(match name {
            "strftime" => {
                let (format,): (&str,) = from_args(args)?;
                Value::from(self.format(format)?)
            }
            "isoformat" => Value::from(self.format("%Y-%m-%dT%H:%M:%S")?),
            "timestamp" => Value::from(self.timestamp() as f64),
            "weekday" => Value::from((self.weekday() + 6) % 7),
            "isoweekday" => Value::from((self.weekday() + 6) % 7 + 1),
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        })
    }

    fn render(self: &Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.format("%Y-%m-%d %H:%M:%S").unwrap_or_default())
    }
}
