//! Where a seat's appliance is. Pure.

use std::net::Ipv4Addr;

use crate::domain::{Student, Workshop};

/// The value of `IP-<WORKSHOP>` when nobody has configured it.
const NOT_CONFIGURED: &str = "x.y.z.t";

/// `WODRTARGET` of a seat: None for a workshop without appliances. With one for all it is
/// `configured`; with one for each seat the last octet grows with the place in the range.
///
/// Fails with one line when there is no usable address.
pub fn address(
    workshop: &Workshop,
    student: Student,
    configured: Option<&str>,
) -> Result<Option<String>, String> {
    if !workshop.monoappliance && !workshop.multiappliance {
        return Ok(None);
    }
    let name = &workshop.name;
    let base = match configured.map(str::trim) {
        None | Some("" | NOT_CONFIGURED) => {
            return Err(format!(
                "workshop {name} needs an appliance but IP-{name} is not configured; \
                 set it in the inventory"
            ));
        }
        Some(base) => base,
    };
    if !workshop.multiappliance {
        return Ok(Some(base.to_owned()));
    }
    let first = workshop.range.map_or(student, |range| range.first());
    let place = student.number().checked_sub(first.number());
    let address: Option<Ipv4Addr> = base.parse().ok();
    let found = place.zip(address).and_then(|(place, address)| {
        let [a, b, c, d] = address.octets();
        let last = u8::try_from(u32::from(d) + place).ok()?;
        Some(Ipv4Addr::new(a, b, c, last).to_string())
    });
    found.map(Some).ok_or_else(|| {
        format!(
            "student{student} has no appliance: IP-{name} is {base}, and its last octet cannot \
             grow by the place in the workshop's range"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::StudentRange;

    fn workshop(mono: bool, multi: bool) -> Workshop {
        let student = |n| Student::new(n).unwrap();
        Workshop {
            id: 1,
            name: "WKSHP-X".parse().unwrap(),
            title: String::new(),
            capacity: 1,
            range: Some(StudentRange::new(student(10), student(20)).unwrap()),
            reset: false,
            ldap: false,
            varpass: false,
            monoappliance: mono,
            multiappliance: multi,
            compile: Vec::new(),
            duration: None,
            cpu_minutes: None,
            active: true,
        }
    }

    #[test]
    fn one_for_all_or_one_each() {
        let student = Student::new(13).unwrap();
        let base = Some("10.1.2.250");
        assert_eq!(address(&workshop(false, false), student, base), Ok(None));
        let one = address(&workshop(true, false), student, base);
        assert_eq!(one, Ok(Some("10.1.2.250".to_owned())));
        let each = address(&workshop(false, true), student, base);
        assert_eq!(each, Ok(Some("10.1.2.253".to_owned())));
    }

    #[test]
    fn no_address_is_an_error_with_the_variable_to_set() {
        let student = Student::new(20).unwrap();
        for base in [
            None,
            Some("x.y.z.t"),
            Some("host.example.org"),
            Some("10.1.2.250"),
        ] {
            let error = address(&workshop(false, true), student, base).unwrap_err();
            assert!(error.contains("IP-WKSHP-X"), "{error}");
        }
    }
}
