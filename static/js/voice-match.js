// Recording a sample in the page, as WAV, which the site reads whatever the browser can encode.
// Without script, or without a microphone, the form takes a file.
(() => {
  const form = document.querySelector("form[data-match]");
  if (!form) return;
  const SECONDS_MAX = 60;
  const bytesMax = Number(form.dataset.bytesMax);
  const input = form.querySelector("input[type=file]");
  const problem = form.querySelector("[data-match-problem]");
  const recorder = form.querySelector("[data-recorder]");
  const button = form.querySelector("[data-record]");
  const status = form.querySelector("[data-recorded]");
  const playback = form.querySelector("[data-playback]");
  let recording = null;

  const say = (words) => { problem.textContent = words; problem.hidden = !words; };

  if (navigator.mediaDevices && window.AudioWorkletNode && window.DataTransfer) recorder.hidden = false;
  button.addEventListener("click", () => (recording ? stop() : start()));
  input.addEventListener("change", () => {
    playback.hidden = true;
    status.textContent = "";
    const file = input.files[0];
    say(file && file.size > bytesMax ? "The sample has more than 10 MB. Choose a shorter one, or an mp3." : "");
  });

  async function start() {
    say("");
    button.disabled = true;
    let stream;
    try {
      // As it is: what makes calls sound well changes a voice.
      const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true };
      stream = await navigator.mediaDevices.getUserMedia({ audio });
      const context = new AudioContext();
      await context.audioWorklet.addModule(recorder.dataset.worklet);
      const node = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0 });
      recording = { stream, context, parts: [], count: 0 };
      node.port.onmessage = ({ data }) => add(data);
      context.createMediaStreamSource(stream).connect(node);
      button.textContent = "Stop";
    } catch (error) {
      if (stream) stream.getTracks().forEach((track) => track.stop());
      say("The microphone cannot be used here. Allow it in the browser, or choose a file.");
    } finally {
      button.disabled = false;
    }
  }

  function add(samples) {
    if (!recording) return;
    recording.parts.push(samples);
    recording.count += samples.length;
    const seconds = Math.floor(recording.count / recording.context.sampleRate);
    status.textContent = `${seconds} s`;
    if (seconds >= SECONDS_MAX) stop();
  }

  function stop() {
    const { stream, context, parts, count } = recording;
    recording = null;
    button.textContent = "Record again";
    stream.getTracks().forEach((track) => track.stop());
    const file = new File([wav(parts, count, context.sampleRate)], "recording.wav", { type: "audio/wav" });
    context.close();
    const files = new DataTransfer();
    files.items.add(file);
    input.files = files.files;
    if (playback.src) URL.revokeObjectURL(playback.src);
    playback.src = URL.createObjectURL(file);
    playback.hidden = false;
  }

  function wav(parts, count, rate) {
    const view = new DataView(new ArrayBuffer(44 + 2 * count));
    const text = (at, letters) => { for (let i = 0; i < letters.length; i += 1) view.setUint8(at + i, letters.charCodeAt(i)); };
    text(0, "RIFF");
    view.setUint32(4, 36 + 2 * count, true);
    text(8, "WAVEfmt ");
    view.setUint32(16, 16, true);
    view.setUint16(20, 1, true);
    view.setUint16(22, 1, true);
    view.setUint32(24, rate, true);
    view.setUint32(28, 2 * rate, true);
    view.setUint16(32, 2, true);
    view.setUint16(34, 16, true);
    text(36, "data");
    view.setUint32(40, 2 * count, true);
    let at = 44;
    for (const part of parts) {
      for (const sample of part) {
        view.setInt16(at, Math.max(-1, Math.min(1, sample)) * 32767, true);
        at += 2;
      }
    }
    return view.buffer;
  }

  form.addEventListener("submit", (event) => {
    if (input.files[0] && input.files[0].size > bytesMax) event.preventDefault();
  });
  // A second click would only be answered with the same match or voice; spare it.
  for (const each of document.querySelectorAll("form[data-match], form[data-keep]")) {
    const submit = each.querySelector("button:not([type=button])");
    const words = submit.textContent;
    each.addEventListener("submit", (event) => {
      if (event.defaultPrevented) return;
      submit.disabled = true;
      if (submit.dataset.busy) submit.textContent = submit.dataset.busy;
    });
    window.addEventListener("pageshow", () => { submit.disabled = false; submit.textContent = words; });
  }
})();
