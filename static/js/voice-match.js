// Recording a sample in the page, as WAV, which the site reads whatever the browser can encode.
// Without script, or without a microphone, the form takes a file.
(() => {
  const form = document.querySelector("form[data-match]");
  if (!form) return;
  const problem = form.querySelector("[data-match-problem]");
  const takes = [...form.querySelectorAll("[data-take]")];
  const canRecord = navigator.mediaDevices && window.AudioWorkletNode && window.DataTransfer;

  const say = (words) => { problem.textContent = words; problem.hidden = !words; };
  const tooLarge = (take) => {
    const file = take.querySelector("input[type=file]").files[0];
    return file && file.size > Number(take.dataset.bytesMax);
  };

  takes.forEach(recorderOf);

  function recorderOf(take) {
    const secondsMax = Number(take.dataset.secondsMax);
    const input = take.querySelector("input[type=file]");
    const recorder = take.querySelector("[data-recorder]");
    const button = take.querySelector("[data-record]");
    const status = take.querySelector("[data-recorded]");
    const playback = take.querySelector("[data-playback]");
    let recording = null;

    if (canRecord) recorder.hidden = false;
    button.addEventListener("click", () => (recording ? stop() : start()));
    input.addEventListener("change", () => {
      playback.hidden = true;
      status.textContent = "";
      say(tooLarge(take) ? take.dataset.tooLarge : "");
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
      if (seconds >= secondsMax) stop();
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
    if (takes.some(tooLarge)) event.preventDefault();
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
