//! HTTP beside the queue, `--http`; without the cargo feature there is none, and nothing of it.

#[cfg(feature = "http")]
mod served {
    use std::sync::Arc;

    use crate::daemon::Args;
    use crate::daemon::listen::{bind, hold_against_strangers};
    use crate::exit::{self, Failure};
    use crate::http::{Http, HttpTeller, Site};
    use crate::limits::LISTENERS_MAX;
    use crate::master::Progress;
    use crate::master::local::LocalDoor;
    use crate::roles::Tokens;

    /// The server, if there is to be one.
    pub struct Web(Option<Http>);

    /// Tells it of what changes.
    #[derive(Clone)]
    pub struct WebTeller(Option<HttpTeller>);

    impl Web {
        /// Listens where `--http` says, and answers that the master is starting.
        pub fn start(args: &Args, tokens: Option<Tokens>, progress: &Arc<Progress>) -> Result<Web, Failure> {
            if args.http.is_empty() {
                return Ok(Web(None));
            }
            if args.http.len() > LISTENERS_MAX {
                let text = format!("{} addresses were named; it listens on up to {LISTENERS_MAX}", args.http.len());
                return Err(Failure::new(exit::USAGE, text));
            }
            let sockets = args.http.iter().map(|address| bind(address, args.socket_mode, "--http"));
            let sockets = sockets.collect::<Result<Vec<_>, _>>()?;
            hold_against_strangers(args, &sockets)?;
            let addresses: Vec<String> = sockets.iter().map(|socket| socket.address().to_string()).collect();
            let site = Site { names: args.http_names.clone(), tokens };
            let http = Http::start(sockets, site, Arc::clone(progress))
                .map_err(|error| Failure::new(exit::SYSTEM, format!("starting the HTTP server: {error}")))?;
            log::info!("answering HTTP on {}", addresses.join(", "));
            Ok(Web(Some(http)))
        }

        /// The master can be asked from now on.
        pub fn serves(&self, door: &LocalDoor) {
            self.0.iter().for_each(|http| http.serves(door.clone()));
        }

        /// Ends it, and waits for that.
        pub fn end(self) {
            drop(self.0);
        }

        pub fn teller(&self) -> WebTeller {
            WebTeller(self.0.as_ref().map(Http::teller))
        }
    }

    impl WebTeller {
        pub fn stop(&self) {
            self.0.iter().for_each(HttpTeller::stop);
        }

        pub fn retoken(&self, tokens: Option<&Tokens>) {
            self.0.iter().for_each(|http| http.retoken(tokens.cloned()));
        }
    }
}

#[cfg(not(feature = "http"))]
mod served {
    use std::sync::Arc;

    use crate::daemon::Args;
    use crate::exit::Failure;
    use crate::master::Progress;
    use crate::master::local::LocalDoor;
    use crate::roles::Tokens;

    pub struct Web;

    #[derive(Clone)]
    pub struct WebTeller;

    #[allow(clippy::unused_self, clippy::unnecessary_wraps)] // The same signatures as with the feature.
    impl Web {
        pub fn start(_args: &Args, _tokens: Option<Tokens>, _progress: &Arc<Progress>) -> Result<Web, Failure> {
            Ok(Web)
        }

        pub fn serves(&self, _door: &LocalDoor) {}

        pub fn end(self) {}

        pub fn teller(&self) -> WebTeller {
            WebTeller
        }
    }

    #[allow(clippy::unused_self)]
    impl WebTeller {
        pub fn stop(&self) {}

        pub fn retoken(&self, _tokens: Option<&Tokens>) {}
    }
}

pub use served::{Web, WebTeller};
