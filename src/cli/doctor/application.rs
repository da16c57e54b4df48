//! The SIP media application, judged.

use trunkline_call::mask_number;

use super::events::unseen;
use super::finding::Finding;
use crate::aws::AwsFailure;
use crate::aws::inspect::ApplicationSeen;
use crate::settings::SmaSettings;

/// The application of `sma.application_id`, and what outbound calls need.
pub(super) fn judged(seen: &Result<ApplicationSeen, AwsFailure>, settings: &SmaSettings) -> Vec<Finding> {
    let what = "sma application";
    let application = match seen {
        Err(failure) => {
            let keys = "sma.application_id, sma.region and sma.endpoint_url";
            unseen(what, failure, "chime:GetSipMediaApplication", keys)
        }
        Ok(ApplicationSeen { name, lambdas }) => match lambdas.as_slice() {
            [lambda] => Finding::ok(what, format!("{name:?} calls {lambda}")),
            [] => Finding::fail(
                what,
                format!("{name:?} has no Lambda function: nobody answers its calls"),
                "deploy Trunkline's function and set its ARN as the application's endpoint",
            ),
            several => Finding::fail(
                what,
                format!("{name:?} has {} Lambda functions", several.len()),
                "leave the one that is Trunkline's as its endpoint",
            ),
        },
    };
    let outbound = match &settings.from_number {
        Some(number) => Finding::ok("sma outbound", format!("calls are placed from {}", mask_number(number))),
        None => Finding::warn(
            "sma outbound",
            "sma.from_number is empty: a request without \"from\" is refused",
            "set sma.from_number to a number of the account's",
        ),
    };
    vec![application, outbound]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::FailureClass;
    use crate::settings::Settings;

    fn lines(seen: Result<ApplicationSeen, AwsFailure>, from_number: Option<&str>) -> Vec<String> {
        let from_number = from_number.map(str::to_owned);
        let settings = SmaSettings { from_number, ..Settings::embedded().unwrap().sma };
        judged(&seen, &settings).iter().map(ToString::to_string).collect()
    }

    fn with(lambdas: &[&str]) -> Result<ApplicationSeen, AwsFailure> {
        Ok(ApplicationSeen { name: "phone".to_owned(), lambdas: lambdas.iter().map(ToString::to_string).collect() })
    }

    #[test]
    fn an_application_has_one_lambda() {
        let lambda = "arn:aws:lambda:us-east-1:111122223333:function:trunkline";
        let table = [
            (with(&[lambda]), "ok    sma application: \"phone\" calls arn:aws:lambda:"),
            (with(&[]), "FAIL  sma application: \"phone\" has no Lambda function"),
            (with(&[lambda, lambda]), "FAIL  sma application: \"phone\" has 2 Lambda functions"),
        ];
        for (seen, expected) in table {
            let lines = lines(seen, None);
            assert!(lines[0].starts_with(expected), "{lines:?}");
        }
        let gone =
            AwsFailure { class: FailureClass::NotFound, status: Some(404), text: "NotFoundException".to_owned() };
        assert!(lines(Err(gone), None)[0].contains("correct sma.application_id"));
    }

    #[test]
    fn outbound_calls_want_a_number_which_is_masked() {
        let lambda = with(&["arn"]);
        assert_eq!(lines(lambda.clone(), Some("+15550199002"))[1], "ok    sma outbound: calls are placed from ***9002");
        assert!(lines(lambda, None)[1].starts_with("warn  sma outbound: sma.from_number is empty"));
    }
}
