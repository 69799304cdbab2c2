use crate::bundle::cron::check as check_cron;

#[test]
fn cron_expressions_have_five_fields_in_range() {
    #[track_caller]
    fn check(text: &str, expected: Result<(), &str>) {
        assert_eq!(check_cron(text), expected.map_err(str::to_owned), "{text}");
    }
    check("0 */2 * * *", Ok(()));
    check("*/5 0-6,22 1,15 JAN-mar MON-FRI", Ok(()));
    check("  0   10\t* * 7 ", Ok(()));
    check("0-30/10 * * * 0", Ok(()));
    check("", Err("a cron expression has 5 fields, this one has 0"));
    check("* * * *", Err("a cron expression has 5 fields, this one has 4"));
    check("0 0 * * * *", Err("a cron expression has 5 fields, this one has 6"));
    check("60 * * * *", Err("`60` does not fit the field of the minute (0 to 59)"));
    check("0 24 * * *", Err("`24` does not fit the field of the hour (0 to 23)"));
    check("0 0 0 * *", Err("`0` does not fit the field of the day of month (1 to 31)"));
    check("0 0 1 13 *", Err("`13` does not fit the field of the month (1 to 12)"));
    check("0 0 1 1 8", Err("`8` does not fit the field of the day of week (0 to 7)"));
    check("0 0 1 MON *", Err("`MON` does not fit the field of the month (1 to 12)"));
    check("5-1 * * * *", Err("`5-1` does not fit the field of the minute (0 to 59)"));
    check("*/0 * * * *", Err("`*/0` does not fit the field of the minute (0 to 59)"));
    check("*/ * * * *", Err("`*/` does not fit the field of the minute (0 to 59)"));
    check("5/10 * * * *", Err("`5/10` does not fit the field of the minute (0 to 59)"));
    check("1, * * * *", Err("`` does not fit the field of the minute (0 to 59)"));
    check("+1 * * * *", Err("`+1` does not fit the field of the minute (0 to 59)"));
    check(
        "99999999999 * * * *",
        Err("`99999999999` does not fit the field of the minute (0 to 59)"),
    );
    check("@daily", Err("a cron expression has 5 fields, this one has 1"));
    check(&"*".repeat(300), Err("a cron expression has at most 200 bytes"));
}
