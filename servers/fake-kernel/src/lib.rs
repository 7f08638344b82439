//! Runs a server on the developer's machine, so that its decisions are tested without a board: the test is its kernel, its clients and its
//! peers.
//!
//! The server runs on a thread of its own, from its `main`, on the real runtime; its system calls come here. What it receives is what the
//! test sends; its invocations succeed and are noted, unless [`Fake::refuse`] says otherwise; who answers at an endpoint that it calls is
//! said by [`World::peer`]. Registers are memory of the test's ([`pages`]), frames are new memory at the address that they are mapped to; no
//! other thread runs, and nothing is ever executed.
//!
//! ```no_run
//! # fn server_main(_: axiom_runtime::Runtime) -> ! { loop {} }
//! use axiom_fake_kernel::World;
//! use axiom_proto::Error;
//!
//! let mut server = World::default().start(server_main);
//! let answer = server.ask::<_, ()>(1, 999, &());
//! assert_eq!(answer, Err(Error::NoSuchInterface));
//! ```
//! One server runs at a time in a process: the runtime has statics. Tests wait for each other.
use axiom_proto::env::{Env, Header, MAGIC};
use axiom_proto::{Error, LABEL_OK, console, wire};
use axiom_runtime::Runtime;
use sel4_sys::stubs::Received;
use sel4_sys::{Badge, CPtr, IpcBuffer, MessageInfo, host, label, syscall};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Where a server is told that its heap is.
pub const HEAP: core::ops::Range<u64> = 0x7000..0xa000;

/// An invocation that a server made of a capability.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invocation {
    /// Of which.
    pub cap: u64,
    /// Which: a label, or the number of a system call that is none of an object's (negative).
    pub label: i64,
    /// Its words.
    pub words: Vec<u64>,
    /// The capabilities in it.
    pub caps: Vec<u64>,
}

/// A message to a peer of the server's, and what the peer says.
type Peer = Box<dyn FnMut(u16, &[u8]) -> Vec<u8> + Send>;

/// A console that keeps its lines, to be put into a [`World`] as a peer.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// The peer.
    pub fn peer(&self) -> impl FnMut(u16, &[u8]) -> Vec<u8> + Send + 'static {
        let lines = self.0.clone();
        move |_, message| {
            if let Ok(console::Request::Line { text, .. }) = wire::decode(message) {
                lock(&lines).push(text.to_owned());
            }
            answer(&console::Reply::Done)
        }
    }

    /// What was printed since the last question.
    pub fn take(&self) -> Vec<String> {
        core::mem::take(&mut lock(&self.0))
    }
}

/// What a server finds around it.
#[derive(Default)]
pub struct World {
    gives: BTreeMap<u64, u64>,
    peers: BTreeMap<u64, Peer>,
    refused: BTreeMap<i64, sel4_sys::Error>,
    returns: BTreeMap<i64, Returns>,
}

/// What an invocation returns for its words.
type Returns = Box<dyn FnMut(&[u64]) -> u64 + Send>;

/// Words that are sent to a server, or that it answers with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Message {
    /// The label of the tag.
    pub label: u64,
    /// The words.
    pub words: Vec<u64>,
    /// How many capabilities come along.
    pub caps: u64,
}

enum Event {
    /// From whom, what, and which of its capabilities were unwrapped.
    Message(u64, Message, u64),
    Signal(u64),
    End,
}

enum Said {
    /// It waits for the next message; this is its answer to the last one, if it was one.
    Waits(Option<Message>),
    /// It panicked.
    Died(String),
}

#[derive(Default)]
struct Notes {
    invocations: Vec<Invocation>,
    refused: BTreeMap<i64, sel4_sys::Error>,
    /// What the next frames that are mapped hold.
    frames: VecDeque<Vec<u8>>,
    /// Where frames are mapped.
    mapped: Vec<u64>,
}

impl Notes {
    /// Maps a frame, if nothing is mapped there.
    fn map(&mut self, address: u64) -> sel4_sys::Error {
        let Some(there) = memory(address as *mut _, PAGE) else { return sel4_sys::Error::DeleteFirst };
        let bytes = self.frames.pop_front().unwrap_or_default();
        // SAFETY: a page of new memory, which nobody refers to yet.
        unsafe { there.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len().min(PAGE)) };
        self.mapped.push(address);
        sel4_sys::Error::NoError
    }
}

/// A running server.
pub struct Fake {
    events: Sender<Event>,
    said: Receiver<Said>,
    notes: Arc<Mutex<Notes>>,
    thread: Option<JoinHandle<()>>,
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());

std::thread_local! {
    static SERVING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread runs the server's own code, not the test's: for an allocator that refuses a server memory.
pub fn serving() -> bool {
    SERVING.get()
}

/// Runs something that is not the server's own on its thread.
fn aside<T>(act: impl FnOnce() -> T) -> T {
    let before = SERVING.replace(false);
    let done = act();
    SERVING.set(before);
    done
}

/// How a server that never ends is ended.
struct Ended;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A test that failed has left what it left; the next one begins anew.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// Who answers at this endpoint: it gets interface and message, and says what [`answer`] makes.
    pub fn peer(mut self, slot: u64, peer: impl FnMut(u16, &[u8]) -> Vec<u8> + Send + 'static) -> World {
        self.peers.insert(slot, Box::new(peer));
        self
    }

    /// Answers of the peer at this endpoint bring so many capabilities.
    pub fn giving(mut self, slot: u64, caps: u64) -> World {
        self.gives.insert(slot, caps);
        self
    }

    /// Invocations with this label fail from the start ([`Fake::refuse`]).
    pub fn refusing(mut self, label: u64, error: sel4_sys::Error) -> World {
        self.refused.insert(label as i64, error);
        self
    }

    /// Invocations with this label return what is said for their words.
    pub fn returning(mut self, label: u64, says: impl FnMut(&[u64]) -> u64 + Send + 'static) -> World {
        self.returns.insert(label as i64, Box::new(says));
        self
    }

    /// Starts a server without anything.
    pub fn start(self, main: fn(Runtime) -> !) -> Fake {
        self.start_in(&Env::default(), main)
    }

    /// Starts a server in this environment, and waits until it serves.
    ///
    /// # Panics
    /// With what the server said, if it panicked.
    pub fn start_in(self, env: &Env<'_>, main: fn(Runtime) -> !) -> Fake {
        let alone = lock(&ALONE);
        let (events, to_server) = channel();
        let (from_server, said) = channel();
        let notes = Arc::new(Mutex::new(Notes { refused: self.refused, ..Notes::default() }));
        let page = page(env);
        let kernel = Kernel {
            // SAFETY: the page begins with the header that `page` wrote.
            buffer: unsafe { page.cast::<Header>().read() }.ipc_buffer as *mut IpcBuffer,
            events: to_server,
            said: from_server.clone(),
            notes: notes.clone(),
            peers: self.peers,
            gives: self.gives,
            returns: self.returns,
            asked: false,
        };
        let (page, kernel) = (Handed(page), Handed(kernel));
        let run = move || {
            let (Handed(page), Handed(mut kernel)) = (page.all(), kernel.all());
            let serve = || {
                host::with(
                    move |call| aside(|| kernel.syscall(call)),
                    || {
                        SERVING.set(true);
                        // SAFETY: the page is this server's alone and stays; the runtime's statics are set anew for each server, of which one
                        // runs at a time.
                        main(unsafe { axiom_runtime::start(page) })
                    },
                )
            };
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(serve));
            SERVING.set(false);
            if let Err(why) = ended
                && !why.is::<Ended>()
            {
                let text = why.downcast_ref::<String>().map(String::as_str);
                let text = text.or(why.downcast_ref::<&str>().copied()).unwrap_or("it panicked");
                // A test that is over does not listen.
                drop(from_server.send(Said::Died(text.to_owned())));
            }
        };
        let thread = Some(std::thread::spawn(run));
        let fake = Fake { events, said, notes, thread, _alone: alone };
        fake.wait();
        fake
    }
}

/// Handed to the server's thread, which alone uses it from then on.
struct Handed<T>(T);

impl<T> Handed<T> {
    fn all(self) -> Handed<T> {
        self
    }
}

// SAFETY: what is handed over (the environment's page, the IPC buffer) stays for good, and its giver keeps no reference.
unsafe impl<T> Send for Handed<T> {}

/// Memory that stays: whole pages, zeroed, as registers or frames would be.
pub fn pages(count: usize) -> &'static mut [u64] {
    let memory = memory(core::ptr::null_mut(), count * PAGE).expect("memory for a test");
    // SAFETY: so many bytes of new memory, aligned to a page, which stay for good and are reached by this reference alone.
    unsafe { core::slice::from_raw_parts_mut(memory.cast(), count * PAGE / 8) }
}

const PAGE: usize = 4096;

/// New memory, anywhere or at an address where nothing is yet.
fn memory(address: *mut libc::c_void, bytes: usize) -> Option<*mut libc::c_void> {
    let place = if address.is_null() { 0 } else { libc::MAP_FIXED_NOREPLACE };
    let (may, how) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | place);
    // SAFETY: takes nothing away from anybody: the mapping is new.
    let got = unsafe { libc::mmap(address, bytes, may, how, -1, 0) };
    (got != libc::MAP_FAILED).then_some(got)
}

/// The environment's page, with an IPC buffer.
fn page(env: &Env<'_>) -> *const u8 {
    let description = postcard::to_allocvec(env).expect("an environment can be written");
    let size = size_of::<Header>() + description.len();
    let header = Header {
        magic: MAGIC,
        ipc_buffer: pages(1).as_mut_ptr() as u64,
        // Nobody allocates here: a test sees that a server is told of it.
        heap: HEAP.start,
        heap_len: HEAP.end - HEAP.start,
        env_len: description.len() as u64,
    };
    let page = pages(size.div_ceil(PAGE)).as_mut_ptr();
    // SAFETY: as many pages as both take.
    unsafe {
        page.cast::<Header>().write(header);
        let after = page.cast::<u8>().add(size_of::<Header>());
        after.copy_from_nonoverlapping(description.as_ptr(), description.len());
    }
    page.cast()
}

/// A message in the words of a peer: a successful answer.
pub fn answer(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![0; wire::MAX_WORDS * 8];
    let words = wire::encode(value, &mut bytes).expect("an answer fits a message");
    bytes.truncate(words * 8);
    bytes
}

struct Kernel {
    buffer: *mut IpcBuffer,
    events: Receiver<Event>,
    said: Sender<Said>,
    notes: Arc<Mutex<Notes>>,
    peers: BTreeMap<u64, Peer>,
    gives: BTreeMap<u64, u64>,
    returns: BTreeMap<i64, Returns>,
    /// The server owes an answer.
    asked: bool,
}

impl Kernel {
    fn buffer(&mut self) -> &mut IpcBuffer {
        // SAFETY: the buffer of the one thread that this runs on, which has no reference to it during a system call.
        unsafe { &mut *self.buffer }
    }

    fn message(&mut self, info: MessageInfo, mrs: [u64; 4]) -> Message {
        let words = (0..info.length()).map(|i| mrs.get(i).copied().unwrap_or_else(|| self.buffer().msg[i]));
        Message { label: info.label(), words: words.collect(), caps: info.extra_caps() as u64 }
    }

    fn deliver(&mut self, badge: u64, message: &Message) -> Received {
        let mut mrs = [0; 4];
        for (i, word) in message.words.iter().enumerate() {
            self.buffer().msg[i] = *word;
            if let Some(register) = mrs.get_mut(i) {
                *register = *word;
            }
        }
        let info = MessageInfo::new(message.label, 0, message.caps, message.words.len() as u64);
        Received { info, badge: Badge(badge), mrs }
    }

    fn note(&mut self, cap: CPtr, label: i64, message: Message) {
        let caps = self.buffer().caps_or_badges[..message.caps as usize].to_vec();
        lock(&self.notes).invocations.push(Invocation { cap: cap.0, label, words: message.words, caps });
    }

    fn syscall(&mut self, call: host::Syscall) -> Received {
        let message = self.message(call.info, call.mrs);
        match call.number {
            syscall::RECV | syscall::REPLY_RECV => {
                let said = (call.number == syscall::REPLY_RECV && self.asked).then_some(message);
                self.receive(said)
            }
            syscall::WAIT => self.receive(None),
            syscall::CALL => self.call(call.cap, message),
            // Nothing was signalled, nobody sends.
            syscall::NB_WAIT | syscall::NB_RECV | syscall::YIELD => self.deliver(0, &Message::default()),
            number => {
                self.note(call.cap, number, message);
                self.deliver(0, &Message::default())
            }
        }
    }

    fn receive(&mut self, said: Option<Message>) -> Received {
        self.asked = false;
        let heard = self.said.send(Said::Waits(said));
        match (heard, self.events.recv()) {
            (Ok(()), Ok(Event::Message(badge, message, unwrapped))) => {
                self.asked = true;
                let mut received = self.deliver(badge, &message);
                let words = message.words.len() as u64;
                received.info = MessageInfo::new(message.label, unwrapped, message.caps, words);
                received
            }
            (Ok(()), Ok(Event::Signal(badge))) => self.deliver(badge, &Message::default()),
            _ => std::panic::resume_unwind(Box::new(Ended)),
        }
    }

    fn call(&mut self, cap: CPtr, message: Message) -> Received {
        let Some(peer) = self.peers.get_mut(&cap.0) else {
            let (label, first) = (message.label as i64, message.words.first().copied());
            let value = self.returns.get_mut(&label).map_or(0, |says| says(&message.words));
            self.note(cap, label, message);
            let mut notes = lock(&self.notes);
            let result = match (notes.refused.get(&label).copied(), first) {
                (Some(refused), _) => refused,
                (None, Some(address)) if label == label::PAGE_MAP as i64 => notes.map(address),
                _ => sel4_sys::Error::NoError,
            };
            drop(notes);
            return self.deliver(0, &Message { label: result as u64, words: vec![value, 0, 0, 0], caps: 0 });
        };
        let bytes: Vec<u8> = message.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut said = peer(message.label as u16, &bytes);
        said.resize(said.len().next_multiple_of(8), 0);
        let words = said.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let caps = self.gives.get(&cap.0).copied().unwrap_or(0);
        self.deliver(0, &Message { label: LABEL_OK, words, caps })
    }
}

impl Fake {
    fn wait(&self) -> Option<Message> {
        match self.said.recv() {
            Ok(Said::Waits(answer)) => answer,
            Ok(Said::Died(why)) => panic!("the server panicked: {why}"),
            Err(_) => panic!("the server has ended"),
        }
    }

    /// Sends words as they are, and returns the answer.
    ///
    /// # Panics
    /// If the server does, with its words.
    pub fn send(&mut self, badge: u64, message: Message) -> Message {
        self.send_unwrapped(badge, message, 0)
    }

    /// The same with capabilities of which some, a bit each, were to this server's own endpoint: their badges came instead.
    ///
    /// # Panics
    /// If the server does, with its words.
    pub fn send_unwrapped(&mut self, badge: u64, message: Message, unwrapped: u64) -> Message {
        self.events.send(Event::Message(badge, message, unwrapped)).expect("the server lives");
        self.wait().expect("a request is answered")
    }

    /// Asks in an interface's words.
    ///
    /// # Errors
    /// What the server answers.
    pub fn ask<Q: Serialize, R: Deserialize<'static>>(
        &mut self,
        badge: u64,
        interface: u16,
        request: &Q,
    ) -> Result<R, Error> {
        self.ask_with(badge, interface, request, 0)
    }

    /// The same with so many capabilities, which lie in the receive slot then.
    ///
    /// # Errors
    /// What the server answers.
    pub fn ask_with<Q: Serialize, R: Deserialize<'static>>(
        &mut self,
        badge: u64,
        interface: u16,
        request: &Q,
        caps: u64,
    ) -> Result<R, Error> {
        let bytes = answer(request);
        let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let said = self.send(badge, Message { label: interface.into(), words, caps });
        // Kept for good: an answer may refer to it.
        let bytes: Vec<u8> = said.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let bytes: &'static [u8] = bytes.leak();
        if said.label == LABEL_OK {
            return Ok(wire::decode(bytes).expect("an answer in the interface's words"));
        }
        Err(wire::decode(bytes).expect("an error in its words"))
    }

    /// Signals the server's notification with this badge.
    pub fn signal(&mut self, badge: u64) {
        self.events.send(Event::Signal(badge)).expect("the server lives");
        assert_eq!(self.wait(), None, "a signal has no answer");
    }

    /// What the server has invoked since the last question.
    pub fn invocations(&mut self) -> Vec<Invocation> {
        core::mem::take(&mut lock(&self.notes).invocations)
    }

    /// From now on, invocations with this label fail, or succeed again.
    pub fn refuse(&mut self, label: u64, error: Option<sel4_sys::Error>) {
        let refused = &mut lock(&self.notes).refused;
        match error {
            Some(error) => drop(refused.insert(label as i64, error)),
            None => drop(refused.remove(&(label as i64))),
        }
    }

    /// The next frame that the server maps holds this, and the ones after it what is said next; others hold zeros.
    pub fn next_frame(&mut self, bytes: &[u8]) {
        lock(&self.notes).frames.push_back(bytes.to_vec());
    }

    /// Sets the counter that the server reads.
    pub fn set_ticks(&mut self, now: u64) {
        axiom_runtime::arch::set_ticks(now);
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.events.send(Event::End));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
        for address in lock(&self.notes).mapped.drain(..) {
            // SAFETY: mapped by `map`, for the server that has just ended.
            unsafe { libc::munmap(address as *mut _, PAGE) };
        }
    }
}
