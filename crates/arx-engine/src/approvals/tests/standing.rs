use arx_journal::{PeopleError, Tx};
use arx_testkit::SimClock;
