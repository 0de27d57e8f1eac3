//! How many requests wait for an answer at the same time. A server that answers some with 429 has fewer places
//! for us than that, and what it refuses has to be sent again: so each refusal halves the window, and what it
//! answers opens it again, as TCP does with what gets lost.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Response, StatusCode};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tower::{BoxError, Layer, Service};

/// Answers after which one more request may be sent at the same time. Each step beyond what the server has
/// room for costs a refusal, so this is one request in so many; from one to the usual 32 it is a thousand
/// requests, some seconds of a burst.
const ANSWERS: usize = 32;

/// All requests of a client.
pub(super) struct WindowLayer(Arc<Window>);

struct Window {
    /// As many permits as there may be requests, but for those that are still to be taken away.
    places: Arc<Semaphore>,
    most: usize,
    state: Mutex<State>,
}

struct State {
    /// Requests that may wait for an answer.
    size: usize,
    /// Permits to take away, because more requests are under way than that.
    excess: usize,
    /// Answers since the window was opened or closed.
    answers: usize,
}

impl WindowLayer {
    /// At most so many requests at the same time.
    pub(super) fn new(most: usize) -> Self {
        let state = State { size: most, excess: 0, answers: 0 };
        Self(Arc::new(Window { places: Arc::new(Semaphore::new(most)), most, state: Mutex::new(state) }))
    }
}

impl Window {
    /// A request has ended; with what, if an answer came.
    fn ended(&self, permit: OwnedSemaphorePermit, status: Option<StatusCode>) {
        // A panic in the few lines below leaves counts that are whole.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match status {
            Some(StatusCode::TOO_MANY_REQUESTS) => {
                let size = (state.size / 2).max(1);
                state.excess += state.size - size;
                state.excess -= self.places.forget_permits(state.excess);
                (state.size, state.answers) = (size, 0);
            }
            Some(_) if state.size < self.most => {
                state.answers += 1;
                if state.answers >= ANSWERS {
                    (state.size, state.answers) = (state.size + 1, 0);
                    match state.excess {
                        0 => self.places.add_permits(1),
                        _ => state.excess -= 1,
                    }
                }
            }
            _ => {}
        }
        if state.excess > 0 {
            state.excess -= 1;
            permit.forget();
        }
    }
}

impl<S> Layer<S> for WindowLayer {
    type Service = Windowed<S>;

    fn layer(&self, inner: S) -> Windowed<S> {
        Windowed { inner, window: Arc::clone(&self.0), waiting: None, permit: None }
    }
}

/// Sends a request when there is a place for it.
pub(super) struct Windowed<S> {
    inner: S,
    window: Arc<Window>,
    waiting: Option<BoxFuture<'static, Result<OwnedSemaphorePermit, AcquireError>>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl<S, R, B> Service<R> for Windowed<S>
where
    S: Service<R, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<B>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.permit.is_none() {
            let places = &self.window.places;
            let waiting = self.waiting.get_or_insert_with(|| Arc::clone(places).acquire_owned().boxed());
            let permit = ready!(waiting.poll_unpin(context));
            self.waiting = None;
            self.permit = Some(permit?);
        }
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let (window, permit) = (Arc::clone(&self.window), self.permit.take());
        let sent = self.inner.call(request);
        Box::pin(async move {
            let result = sent.await;
            if let Some(permit) = permit {
                window.ended(permit, result.as_ref().ok().map(Response::status));
            }
            result
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tower::ServiceExt;
    use tower::buffer::Buffer;

    use super::*;

    /// A server with so many places; it refuses what does not find one at once.
    #[derive(Clone, Default)]
    struct Server {
        places: Arc<AtomicUsize>,
        busy: Arc<AtomicUsize>,
        refused: Arc<AtomicUsize>,
        most: Arc<AtomicUsize>,
    }

    impl Server {
        async fn serve(self) -> Result<Response<()>, BoxError> {
            let busy = self.busy.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(busy, Ordering::SeqCst);
            let refused = busy > self.places.load(Ordering::SeqCst);
            let took = if refused { 1 } else { 10 };
            tokio::time::sleep(Duration::from_millis(took)).await;
            self.busy.fetch_sub(1, Ordering::SeqCst);
            self.refused.fetch_add(usize::from(refused), Ordering::SeqCst);
            let status = if refused { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::OK };
            Ok(Response::builder().status(status).body(())?)
        }

        /// So many requests at once, each until it is served; afterwards, how many were refused meanwhile and how
        /// many were under way at most.
        async fn burst(&self, window: &WindowLayer, requests: usize) -> (usize, usize) {
            self.refused.store(0, Ordering::SeqCst);
            self.most.store(0, Ordering::SeqCst);
            let server = self.clone();
            let service = window.layer(tower::service_fn(move |()| server.clone().serve()));
            let service = Buffer::new(service, 64);
            let all = (0..requests).map(|_| {
                let service = service.clone();
                async move {
                    while service.clone().oneshot(()).await.unwrap().status() != StatusCode::OK {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
            });
            futures::future::join_all(all).await;
            (self.refused.load(Ordering::SeqCst), self.most.load(Ordering::SeqCst))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_with_few_places_refuses_little_and_one_with_room_is_used_again() {
        let (server, window) = (Server::default(), WindowLayer::new(32));
        server.places.store(100, Ordering::SeqCst);
        assert_eq!(server.burst(&window, 200).await, (0, 32));
        server.places.store(2, Ordering::SeqCst);
        let (refused, _) = server.burst(&window, 200).await;
        assert!((30..=40).contains(&refused), "those of the first moment, and few more: {refused}");
        let (refused, most) = server.burst(&window, 1000).await;
        assert!(refused <= 1000 / ANSWERS && most == 3, "{refused} of 1000, {most} at a time");
        server.places.store(100, Ordering::SeqCst);
        assert_eq!(server.burst(&window, 32 * ANSWERS).await.0, 0);
        assert_eq!(server.burst(&window, 200).await, (0, 32), "all places are used again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_without_any_place_is_asked_one_at_a_time() {
        let (server, window) = (Server::default(), WindowLayer::new(8));
        let room = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            server.most.store(0, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert_eq!(server.most.load(Ordering::SeqCst), 1);
            server.places.store(8, Ordering::SeqCst);
        };
        tokio::join!(server.burst(&window, 50), room);
    }
}
