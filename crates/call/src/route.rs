use crate::Glob;

/// What happens to a call whose number matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// The caller talks to the model.
    Model,
    /// The caller hears himself, through the transcoder and without a model.
    Echo,
    /// The call is refused.
    Reject,
}

impl RouteKind {
    /// `model`, `echo` or `reject`, as in the configuration.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Echo => "echo",
            Self::Reject => "reject",
        }
    }
}

/// One line of the dial plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Numbers it is for.
    pub pattern: Glob,
    /// What happens to them.
    pub kind: RouteKind,
}

/// The dial plan: the first route that matches wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteTable(pub Vec<Route>);

impl RouteTable {
    /// The first route for `number`. A call without a number finds only a route that is for everything (`*`).
    /// `None` means that no route is for it: the call is to be refused.
    #[must_use]
    pub fn choose(&self, number: Option<&str>) -> Option<&Route> {
        self.choose_index(number).map(|(_, route)| route)
    }

    /// Like [`RouteTable::choose`], with the route's place in the table.
    #[must_use]
    pub fn choose_index(&self, number: Option<&str>) -> Option<(usize, &Route)> {
        self.0.iter().enumerate().find(|(_, route)| match number {
            Some(number) => route.pattern.matches(number),
            None => route.pattern.matches_everything(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(patterns: &[&str]) -> RouteTable {
        let route = |pattern: &&str| Route { pattern: Glob::parse(pattern).unwrap(), kind: RouteKind::Echo };
        RouteTable(patterns.iter().map(route).collect())
    }

    #[test]
    fn the_first_match_wins() {
        let routes = table(&["6001", "60??", "+1*", "*", "6002"]);
        let cases = [
            (Some("6001"), Some(0)),
            (Some("6002"), Some(1)),
            (Some("+15551234567"), Some(2)),
            (Some("7"), Some(3)),
            (Some(""), Some(3)),
            (None, Some(3)),
        ];
        for (number, expected) in cases {
            assert_eq!(routes.choose_index(number).map(|(index, _)| index), expected, "{number:?}");
        }
        assert_eq!(routes.choose(Some("6002")).unwrap().pattern.as_str(), "60??");
    }

    #[test]
    fn no_match_is_none() {
        let routes = table(&["6001", "?*"]);
        assert_eq!(routes.choose(None), None, "a pattern that wants a digit is not for a call without a number");
        assert_eq!(table(&["6001"]).choose(Some("6002")), None);
        assert_eq!(RouteTable::default().choose(Some("6001")), None);
    }

    #[test]
    fn kinds_have_the_names_of_the_configuration() {
        let names = [RouteKind::Model, RouteKind::Echo, RouteKind::Reject].map(|k| k.name());
        assert_eq!(names, ["model", "echo", "reject"]);
    }
}
