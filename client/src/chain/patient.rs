//! Calls that end. A client that finds a lost node again by itself keeps what is called meanwhile, and without an end: who
//! waits for it could not say that the node is away.

use std::{future::Future, time::Duration};

use subxt::rpcs::{
    client::{RawRpcFuture, RawRpcSubscription, RawValue, RpcClientT},
    Error,
};

/// How long a call may take: a node that is only started again is there by then.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A client whose calls end.
pub(super) struct Patient<C> {
    pub client: C,
    pub patience: Duration,
}

impl<C> Patient<C> {
    async fn wait<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let silent =
            || Error::Client(format!("no answer for {} s", self.patience.as_secs()).into());
        let answered = tokio::time::timeout(self.patience, call).await;
        answered.unwrap_or_else(|_| Err(silent()))
    }
}

impl<C: RpcClientT> RpcClientT for Patient<C> {
    fn request_raw<'a>(
        &'a self,
        method: &'a str,
        params: Option<Box<RawValue>>,
    ) -> RawRpcFuture<'a, Box<RawValue>> {
        Box::pin(self.wait(self.client.request_raw(method, params)))
    }

    fn subscribe_raw<'a>(
        &'a self,
        sub: &'a str,
        params: Option<Box<RawValue>>,
        unsub: &'a str,
    ) -> RawRpcFuture<'a, RawRpcSubscription> {
        Box::pin(self.wait(self.client.subscribe_raw(sub, params, unsub)))
    }
}
